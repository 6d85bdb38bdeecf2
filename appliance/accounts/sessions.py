"""The browsers in which a person is logged in: listed, and ended from afar.

django-allauth keeps the list (address, browser, times) beside Django's own sessions, which alone let somebody in.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from allauth.usersessions.models import UserSession
from django.contrib.auth import HASH_SESSION_KEY
from django.contrib.sessions.models import Session
from django.db import transaction
from django.utils.crypto import constant_time_compare

from appliance.accounts.announcing import announce
from appliance.accounts.domain import Ability
from appliance.accounts.models import User
from appliance.accounts.principal import Principal

LONGEST_AGENT = 200
MOST = 100
"""Sessions of one person that are shown."""


@dataclass(frozen=True, slots=True)
class Browser:
    """A session for people's eyes: its key, which is as good as a password, is not in it."""

    id: int
    ip: str
    agent: str
    since: datetime
    last_seen: datetime
    current: bool


def seen(user: User, key: str, ip: str, agent: str, now: datetime) -> None:
    """Keep in one statement that this session was used just now, from there."""
    row = UserSession(
        user_id=user.pk,
        session_key=key,
        ip=ip,
        user_agent=agent[:LONGEST_AGENT],
        created_at=now,
        last_seen_at=now,
    )
    UserSession.objects.bulk_create(
        [row],
        update_conflicts=True,
        unique_fields=["session_key"],
        update_fields=["user", "ip", "user_agent", "last_seen_at"],
    )


def browsers_of(user: User, now: datetime, *, current: str | None = None) -> list[Browser]:
    """Where this person is logged in now, the last used first. ``current`` is the key of the one that asks.

    Two statements, however many there are.
    """
    rows = list(UserSession.objects.filter(user_id=user.pk).order_by("-last_seen_at")[:MOST])
    live = _live(user, (row.session_key for row in rows), now)
    return [
        Browser(row.pk, row.ip, row.user_agent, row.created_at, row.last_seen_at, row.session_key == current)
        for row in rows
        if row.session_key in live
    ]


@transaction.atomic
def end_session(user: User, session_id: int, by: Principal) -> bool:
    """Log one browser of a person out, by themselves or an administrator; False when it was out already.

    Raises NotAllowed.
    """
    _theirs(user, by)
    rows = list(UserSession.objects.filter(pk=session_id, user_id=user.pk))
    return _end(user, rows, by) > 0


@transaction.atomic
def end_sessions(user: User, by: Principal, *, but: str | None = None) -> int:
    """Log all of a person's browsers out, but the one with the key ``but``; gives how many. Raises NotAllowed."""
    _theirs(user, by)
    rows = UserSession.objects.filter(user_id=user.pk).exclude(session_key=but or "")
    return _end(user, list(rows), by)


def forget_all(user: User) -> int:
    """End every session of a person, in the caller's transaction and as part of what it puts on record."""
    rows = list(UserSession.objects.filter(user_id=user.pk))
    return _delete(rows)


def _theirs(user: User, by: Principal) -> None:
    if by.name != user.principal.name:
        by.require(Ability.MANAGE_USERS)


def _end(user: User, rows: list[UserSession], by: Principal) -> int:
    ended = _delete(rows)
    if ended:
        announce(user, "sessions_ended", by, {"count": ended, "from": sorted({row.ip for row in rows})})
    return ended


def _delete(rows: list[UserSession]) -> int:
    keys = [row.session_key for row in rows]
    ended, _ = Session.objects.filter(session_key__in=keys).delete()
    UserSession.objects.filter(pk__in=[row.pk for row in rows]).delete()
    return ended


def _live(user: User, keys: Iterable[str], now: datetime) -> set[str]:
    """Those of the keys that let this person in: not ended, not expired, not of a former password."""
    mark = user.get_session_auth_hash()
    found = Session.objects.filter(session_key__in=list(keys), expire_date__gt=now)
    return {
        row.session_key
        for row in found
        if constant_time_compare(str(row.get_decoded().get(HASH_SESSION_KEY, "")), mark)
    }
