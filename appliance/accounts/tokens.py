"""API tokens: issued once in the clear, kept as a digest, limited to scopes."""

import hashlib
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from appliance.accounts import trail
from appliance.accounts.domain import Ability
from appliance.accounts.errors import AccountRefused
from appliance.accounts.models import ApiToken, User
from appliance.accounts.principal import Principal, person_of
from appliance.lib.jsontypes import JsonObject

PREFIX = "mw_"
_USE_STEP = timedelta(minutes=1)


@transaction.atomic
def issue_api_token(
    user: User,
    name: str,
    scopes: Collection[Ability],
    by: Principal,
    now: datetime,
    *,
    expires_at: datetime | None = None,
) -> str:
    """The text of a new token; it cannot be shown again. Raises NotAllowed, AccountRefused."""
    by.require(Ability.MANAGE_USERS)
    beyond = [scope.value for scope in scopes if not user.can_somewhere(scope)]
    if beyond or not scopes:
        asked = ", ".join(sorted(beyond)) or "nothing"
        raise AccountRefused(f"{user.username} cannot give a token the right to {asked}")
    _own_word(user, scopes, by)
    if not 0 < len(name) <= 100:
        raise AccountRefused("a token needs a name of 1 to 100 characters")
    text = PREFIX + secrets.token_urlsafe(32)
    try:
        with transaction.atomic():
            ApiToken.objects.create(
                user=user,
                name=name,
                digest=_digest(text),
                scopes=sorted(scope.value for scope in scopes),
                created_at=now,
                expires_at=expires_at,
                issued_by=by.name,
            )
    except IntegrityError as error:
        raise AccountRefused(f"there is a token named {name!r} already") from error
    detail: JsonObject = {"scopes": [scope.value for scope in sorted(scopes)]}
    trail.put("token.issued", by.name, f"token:{user.username}/{name}", detail)
    return text


def _own_word(user: User, scopes: Collection[Ability], by: Principal) -> None:
    """Whoever held a token that approves in another's name could approve what they asked for themselves."""
    issuer = person_of(by.name)
    if Ability.APPROVE in scopes and issuer is not None and issuer != user.username:
        raise AccountRefused(
            f"a token that approves is made by {user.username} alone",
            hint="leave out the scope approve, or let them make it, or do it on the box with `manage.py users token`",
        )


def authenticate(text: str, now: datetime) -> ApiToken | None:
    """The live token of a request, looked up anew each time, so that a revoked one ends at once.

    Its last use is kept to the minute. One that has ended is refused like one that never was; that somebody still
    uses it is on record, once a minute.
    """
    token = ApiToken.objects.select_related("user").filter(digest=_digest(text)).first()
    if token is None:
        return None
    ended = _ended(token, now)
    if ended:
        _refused(token, ended, now)
        return None
    if token.last_used_at is None or token.last_used_at < now - _USE_STEP:
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
    return token


def still_good(token_id: int, now: datetime) -> ApiToken | None:
    """The token of a connection that stays open, looked up anew; None once it has ended."""
    token = ApiToken.objects.select_related("user").filter(pk=token_id).first()
    return None if token is None or _ended(token, now) else token


def _ended(token: ApiToken, now: datetime) -> str:
    """Why it is good no more; empty while it is."""
    if token.revoked_at is not None:
        return "revoked"
    if token.expires_at is not None and token.expires_at <= now:
        return "expired"
    return "" if token.user.is_active else "person locked out"


@transaction.atomic
def _refused(token: ApiToken, why: str, now: datetime) -> None:
    quiet = Q(refused_at__isnull=True) | Q(refused_at__lt=now - _USE_STEP)
    if ApiToken.objects.filter(quiet, pk=token.pk).update(refused_at=now):
        trail.put("token.refused", token.principal.name, token.principal.name, {"case": why})


@transaction.atomic
def revoke_api_token(token_id: int, by: Principal, now: datetime) -> bool:
    """End a token at once; False when it had ended before. Raises NotAllowed."""
    by.require(Ability.MANAGE_USERS)
    token = ApiToken.objects.select_related("user").filter(pk=token_id).first()
    ended = ApiToken.objects.filter(pk=token_id, revoked_at__isnull=True).update(revoked_at=now)
    if token is not None and ended:
        trail.put("token.revoked", by.name, token.principal.name, {})
    return bool(ended)


def list_api_tokens() -> QuerySet[ApiToken]:
    """Everybody's, the newest first, with the people they belong to."""
    return ApiToken.objects.select_related("user").defer("digest").order_by("-pk")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
