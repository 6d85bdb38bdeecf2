"""One-time links with which people choose a password: for a new person, and for a lost password.

Nothing is stored: a link is signed, and its signature covers the present password and the last log-in, so that it
ends when it is used, when the person logs in, or after PASSWORD_RESET_TIMEOUT. It never skips the second step.
"""

import secrets

from django.contrib.auth.tokens import default_token_generator
from django.db import transaction
from django.utils.http import urlsafe_base64_decode, urlsafe_base64_encode

from appliance.accounts.announcing import announce
from appliance.accounts.domain import Ability, Role
from appliance.accounts.errors import LinkEnded
from appliance.accounts.models import Language, User
from appliance.accounts.principal import Principal
from appliance.accounts.services import create_user, get_user, replace_password


@transaction.atomic
def invite(username: str, role: Role, by: Principal, *, language: Language = Language.ENGLISH) -> str:
    """A new person whose password nobody knows, and the end of the link's address. Raises AccountRefused."""
    user = create_user(username, secrets.token_urlsafe(32), role, by, language=language)
    return password_link(user.username, by)


@transaction.atomic
def password_link(username: str, by: Principal) -> str:
    """The end of a one-time link's address, ``<person>/<token>``; the old password counts until it is used.

    Raises NotAllowed, NoSuchUser.
    """
    by.require(Ability.MANAGE_USERS)
    user = get_user(username)
    announce(user, "password_link", by, {})
    who = urlsafe_base64_encode(str(user.pk).encode())
    return f"{who}/{default_token_generator.make_token(user)}"


def person_of(who: str, token: str) -> User | None:
    """Whom a link is for, while it is good. Only ``redeem`` decides."""
    key = _key(who)
    user = User.objects.filter(pk=key, is_active=True).first() if key is not None else None
    return user if user is not None and default_token_generator.check_token(user, token) else None


@transaction.atomic
def redeem(who: str, token: str, password: str) -> User:
    """The new password of the link's person, once. Raises LinkEnded, AccountRefused.

    A refused password leaves the link usable.
    """
    # Two people on one link: the second waits here, and then finds that the password has changed.
    User.objects.select_for_update().filter(pk=_key(who) or 0).first()
    user = person_of(who, token)
    if user is None:
        raise LinkEnded("this link is not valid any more", hint="ask an administrator for a new one")
    return replace_password(user, password, Principal("password-link", Role(user.role)))


def _key(who: str) -> int | None:
    try:
        text = urlsafe_base64_decode(who).decode()
    except ValueError:
        return None
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
