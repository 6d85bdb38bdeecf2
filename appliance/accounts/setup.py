"""The first administrator: by a one-time link, or by a password file when nobody is there to click."""

import hashlib
import secrets
from datetime import datetime, timedelta
from pathlib import Path

from django.db import connection, transaction

from appliance.accounts.domain import Role
from appliance.accounts.errors import AccountRefused, SetupRefused
from appliance.accounts.models import Language, SetupToken, User
from appliance.accounts.principal import CONSOLE, Principal
from appliance.accounts.services import admin_exists, create_user

VALID_FOR = timedelta(hours=24)
FIRST_ADMIN = "admin"
_LOCK = "SELECT pg_advisory_xact_lock(hashtext('accounts.setup'))"


def issue_setup_token(now: datetime) -> str | None:
    """A fresh one-time token, or None when the box has an administrator. Earlier unused ones end."""
    with transaction.atomic():
        _one_at_a_time()
        SetupToken.objects.filter(used_at__isnull=True).delete()
        if admin_exists():
            return None
        token = secrets.token_urlsafe(32)
        SetupToken.objects.create(digest=_digest(token), created_at=now, expires_at=now + VALID_FOR)
        return token


def token_is_valid(token: str, now: datetime) -> bool:
    """Whether the set-up page should show its form. Only ``redeem`` decides."""
    usable = SetupToken.objects.filter(digest=_digest(token), used_at__isnull=True, expires_at__gt=now)
    return usable.exists() and not admin_exists()


@transaction.atomic
def redeem(
    token: str, username: str, password: str, now: datetime, *, language: Language = Language.ENGLISH
) -> User:
    """The first administrator for a valid token, once. Raises SetupRefused, AccountRefused.

    A refused name or password leaves the token usable.
    """
    _one_at_a_time()
    used = SetupToken.objects.filter(digest=_digest(token), used_at__isnull=True, expires_at__gt=now).update(
        used_at=now
    )
    if not used or admin_exists():
        raise SetupRefused(
            "this set-up link is not valid any more", hint="manage.py setup_link prints a new one"
        )
    return create_user(username, password, Role.ADMIN, Principal("setup-link", Role.ADMIN), language=language)


def ensure_admin(password_file: Path) -> bool:
    """Make the user ``admin`` from a password file when there is no administrator yet; True if made now.

    Raises AccountRefused when the file cannot be read or the password is too weak.
    """
    if admin_exists():
        return False
    try:
        password = password_file.read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise AccountRefused(
            f"the password file {password_file} cannot be read", hint="see MILLWRIGHT_ADMIN_PASSWORD_FILE"
        ) from error
    with transaction.atomic():
        _one_at_a_time()
        if admin_exists():
            return False
        create_user(FIRST_ADMIN, password, Role.ADMIN, CONSOLE)
    return True


def _one_at_a_time() -> None:
    with connection.cursor() as cursor:
        cursor.execute(_LOCK)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
