"""What people do not want to hear in a conversation for a while. It is held, not dropped; what is critical is told."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection as django_connection
from django.db import transaction
from psycopg import AsyncConnection

from appliance.accounts.domain import NEEDED, Ability, Role
from appliance.accounts.principal import BOX, Principal, hand_of
from appliance.audit.services import AuditEntry, append_async, append_here
from appliance.bridges import sql_mutes as sql
from appliance.bridges.chats import WEBCHAT
from appliance.bridges.domain import FEED
from appliance.bridges.errors import MuteRefused
from appliance.lib.identity import uuid_floor
from appliance.lib.priority import Priority
from appliance.outbox.holding import release, release_now
from appliance.outbox.ports import Hold
from appliance.safety.read_only import refuse_changes

SHORTEST, USUAL, LONGEST = timedelta(minutes=1), timedelta(hours=1), timedelta(days=7)
REMEMBERED = timedelta(days=8)
"""How old the last message may be that a mute without a name is about."""
MOST = 100
_MAY = [role.value for role in Role if role.covers(NEEDED[Ability.RUN_TASKS])]


@dataclass(frozen=True, slots=True)
class Mute:
    """``by`` is a principal's name; ``held`` messages wait for its end."""

    id: int
    platform: str
    conversation: str
    about: str
    until: datetime
    by: str
    made_at: datetime
    held: int

    @property
    def who(self) -> str:
        return hand_of(self.by)


def conversation_of(platform: str, conversation: str) -> str:
    """Where what is told to who writes here arrives: in the web admin that is the feed."""
    return FEED if platform == WEBCHAT else conversation


def set_mute(
    platform: str, conversation: str, about: str, until: datetime, by: Principal, now: datetime
) -> None:
    """Hold what is about ``about``, or something below it, in this conversation until then.

    One that is there already gets the new end. Raises NotAllowed, ReadOnlyNow, MuteRefused.
    """
    by.require(Ability.RUN_TASKS, task=_task_of(about))
    refuse_changes(by)
    if not SHORTEST <= until - now <= LONGEST:
        raise MuteRefused("a mute lasts between one minute and seven days")
    place = {"platform": platform, "conversation": conversation_of(platform, conversation), "about": about}
    with transaction.atomic(), django_connection.cursor() as cursor:
        cursor.execute(sql.SET, {**place, "until": until, "by": by.name, "now": now})
        row = cursor.fetchone()
        if row is None:
            return
        if row[0] is not None and row[0] > until:
            release_now(**place)  # what is held until the earlier end is held until the new one
        append_here("mute.set", by.name, _subject(place), {"about": about, "until": until.isoformat()})


def end_mute(mute_id: int, by: Principal) -> int:
    """Tell again what this mute held back; gives how many messages that were. None of that number: nothing to do.

    Raises NotAllowed, ReadOnlyNow.
    """
    return sum(_ended(sql.END, {"id": mute_id}, by).values())


def end_mutes(platform: str, conversation: str, about: str, by: Principal) -> dict[str, int]:
    """End the mute of ``about`` in a conversation, or all of it where that is empty.

    Gives the ended ones with how many messages each held. Raises NotAllowed, ReadOnlyNow.
    """
    place = {"platform": platform, "conversation": conversation_of(platform, conversation), "about": about}
    return _ended(sql.END_HERE, place, by)


def _ended(statement: str, values: dict[str, Any], by: Principal) -> dict[str, int]:
    with transaction.atomic(), django_connection.cursor() as cursor:
        cursor.execute(statement, values)
        rows = cursor.fetchall()
        for task in [_task_of(row[2]) for row in rows] or [None]:
            by.require(Ability.RUN_TASKS, task=task)
        refuse_changes(by)
        released: dict[str, int] = {}
        for platform, conversation, about, _ in rows:
            released[about] = release_now(platform, conversation, about)
        for platform, conversation, about, of in rows:
            place = {"platform": platform, "conversation": conversation}
            append_here("mute.ended", by.name, _subject(place), {"about": about, "of": of})
    return released


def mutes(now: datetime, platform: str = "", conversation: str = "") -> list[Mute]:
    """Those in force, the first to end first; of one conversation where it is named."""
    place = {"platform": platform, "conversation": conversation_of(platform, conversation)}
    with django_connection.cursor() as cursor:
        cursor.execute(sql.LISTED, {**place, "now": now, "limit": MOST})
        return [Mute(*row) for row in cursor.fetchall()]


def last_about(platform: str, conversation: str, now: datetime) -> str:
    """What the last message was about that was told in this conversation; empty where none was."""
    values = {"platform": platform, "conversation": conversation_of(platform, conversation)}
    with django_connection.cursor() as cursor:
        cursor.execute(sql.LAST_ABOUT, {**values, "since": uuid_floor(now - REMEMBERED)})
        row = cursor.fetchone()
    return str(row[0]) if row else ""


def forget_mutes(platform: str) -> None:
    """Of a platform that is removed, in its transaction."""
    with django_connection.cursor() as cursor:
        cursor.execute(sql.END_OF_PLATFORM, {"platform": platform})


async def muted(
    connection: AsyncConnection[Any], platform: str, conversation: str, about: str, now: datetime
) -> Hold | None:
    """The mute that lasts longest of those that hold this back."""
    values = {"platform": platform, "conversation": conversation, "about": about, "now": now, "roles": _MAY}
    row = await (await connection.execute(sql.HOLDING, values)).fetchone()
    if row is None:
        return None
    until, by, of = row
    said = f"{until.astimezone(UTC):%H:%M}"
    if until - now >= timedelta(days=1):
        said = f"{until.astimezone(UTC):%Y-%m-%d %H:%M}"
    reason = f"muted by {hand_of(by)} until {said} UTC"
    return Hold(until, reason, Priority.CRITICAL.rank, of)


async def end_over(connection: AsyncConnection[Any], now: datetime) -> int:
    """End the mutes whose time is over and those of people who may not mute any more; gives how many there were."""
    async with connection.transaction():
        cursor = await connection.execute(sql.END_OVER, {"now": now, "roles": _MAY})
        rows: Sequence[Any] = await cursor.fetchall()
        for platform, conversation, about, _ in rows:
            await release(connection, platform, conversation, about)
        await append_async(connection, [_over(*row) for row in rows])
    return len(rows)


def _over(platform: str, conversation: str, about: str, in_time: bool) -> AuditEntry:
    why = "its time was over" if in_time else "whoever muted may not any more"
    place = {"platform": platform, "conversation": conversation}
    return AuditEntry("mute.ended", BOX.name, _subject(place), {"about": about, "reason": why})


def _task_of(about: str) -> str | None:
    kind, _, rest = about.partition("/")
    return rest.partition("/")[0] if kind == "task" else None


def _subject(place: dict[str, str]) -> str:
    return f"chat/{place['platform']}/{place['conversation']}"[:200]
