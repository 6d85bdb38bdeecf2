"""Who calls: a signed-in person (with the CSRF token on changes), or a program with a bearer token."""

from datetime import UTC, datetime
from typing import Any, Protocol, cast

from django.http import HttpRequest
from ninja.errors import HttpError
from ninja.security import HttpBearer, SessionAuth

from appliance.accounts.domain import Ability
from appliance.accounts.models import ApiToken, User
from appliance.accounts.principal import Principal
from appliance.accounts.tokens import authenticate


class Caller(Protocol):
    """A person, or a token that acts within its scopes for one."""

    @property
    def principal(self) -> Principal: ...

    def can(self, ability: Ability) -> bool: ...

    def can_somewhere(self, ability: Ability) -> bool: ...


def username_of(who: Caller) -> str:
    """The person who calls, or for whom a token acts."""
    return who.user.username if isinstance(who, ApiToken) else cast(User, who).username


class TokenAuth(HttpBearer):
    def authenticate(self, request: HttpRequest, token: str) -> ApiToken | None:
        return authenticate(token, datetime.now(UTC))


EITHER: list[Any] = [TokenAuth(), SessionAuth()]


def caller(request: HttpRequest, ability: Ability, *, somewhere: bool = False) -> Caller:
    """Who calls, if they may do ``ability``; else the answer is 403.

    ``somewhere``: on some tasks or topics is enough, as the service asks about the very one.
    """
    who = cast(Caller, request.auth)  # type: ignore[attr-defined]  # set by django-ninja
    if not (who.can_somewhere(ability) if somewhere else who.can(ability)):
        raise HttpError(403, f"this needs the right to {ability.value}")
    return who
