"""Puts on record what guard has refused: in the reactor, since guard has no database."""

import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from appliance.audit.services import AuditEntry, append_async
from appliance.lib.jsontypes import JsonObject
from appliance.lib.plain import plain_text
from appliance.sandbox.docker.client import GuardClient
from appliance.sandbox.errors import JobRefused, SandboxUnavailable

log = logging.getLogger(__name__)

KIND = "guard.refused"
MOST = 3
"""Records of one look; what is refused beyond that is counted in one more, so that nobody fills the record."""

_OLD_SECONDS = 3600.0
"""What happened before that is on record long since, or was while the record still had it: it is not told again."""

# The position is the record itself: written in the same statement as what was read up to there.
_LAST = "SELECT body::jsonb -> 'detail' FROM audit_record WHERE kind = %s ORDER BY seq DESC LIMIT 1"


class Refusal(BaseModel):
    """One that guard tells of."""

    model_config = ConfigDict(frozen=True)
    number: int
    at: float
    cause: str = Field(max_length=20)
    message: str = Field(max_length=300)
    uid: int
    pid: int

    @property
    def alike(self) -> tuple[str, int, str]:
        return self.cause, self.uid, self.message


class Told(BaseModel):
    """Guard's answer. The numbers begin anew with each ``life`` of guard."""

    life: str = Field(max_length=40)
    forgotten: int = 0
    """The number up to which guard keeps none any more, since they are old."""
    refusals: tuple[Refusal, ...]


class GuardRefusals:
    """``tick`` is called every few seconds."""

    EVERY = 10.0

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[Any]], guard: GuardClient) -> None:
        self._pool = pool
        self._guard = guard

    async def tick(self) -> int:
        """How many records were made."""
        try:
            told = Told.model_validate(await self._guard.ask("refusals"))
        except (SandboxUnavailable, JobRefused):
            return 0  # that it is away is told elsewhere; one of before this version knows no such request
        except ValidationError as error:
            log.warning("guard told of refusals in a way that is not known: %s", error)
            return 0
        if not told.refusals:
            return 0
        async with self._pool.connection() as connection, connection.transaction():
            row = await (await connection.execute(_LAST, (KIND,))).fetchone()
            entries = entries_of(told, row[0] if row else {}, time.time())
            await append_async(connection, entries)
        return len(entries)


def entries_of(told: Told, last: dict[str, Any], now: float) -> list[AuditEntry]:
    """One for each sort of refusal that is new since the record whose detail is ``last``, with how often.

    The record itself may have been shortened: nothing older than an hour is new. ``now``: seconds, as guard's ``at``.
    """
    position = int(last.get("number", 0)) if last.get("life") == told.life else 0
    old = [one.number for one in told.refusals if one.at < now - _OLD_SECONDS]
    position = max(position, told.forgotten, *old)
    new = [one for one in told.refusals if one.number > position]
    if not new:
        return []
    alike: dict[tuple[str, int, str], list[Refusal]] = {}
    for one in new:
        alike.setdefault(one.alike, []).append(one)
    groups = list(alike.values())
    mark: JsonObject = {"life": told.life, "number": new[-1].number}
    entries = [_entry(group, mark) for group in groups[:MOST]]
    more = sum(map(len, groups[MOST:])) + max(0, new[0].number - position - 1)
    if more:
        detail: JsonObject = {"cause": "more", "message": "further requests were refused", "times": more}
        entries.append(AuditEntry(KIND, "guard", "guard", detail | mark))
    return entries


def _entry(group: Sequence[Refusal], mark: JsonObject) -> AuditEntry:
    one = group[-1]
    detail: JsonObject = {
        "cause": one.cause,
        "message": plain_text(one.message),
        "times": len(group),
        "uid": one.uid,
        "pid": one.pid,
        "at": datetime.fromtimestamp(one.at, UTC).isoformat(),
    }
    return AuditEntry(KIND, f"uid:{one.uid}", "guard", detail | mark)
