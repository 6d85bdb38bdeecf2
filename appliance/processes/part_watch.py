"""Tells of parts that go down and come back: ``part.health``, once for each edge, also over restarts."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg import Error as DatabaseError
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from appliance.events import PartHealth
from appliance.events.services import record_async
from appliance.lib.clock import Clock
from appliance.lib.config import Config
from appliance.lib.hysteresis import Hysteresis
from appliance.processes.guard.presence import guard_states
from appliance.processes.part_checks import (
    SIGNING,
    PartState,
    broker_state,
    disk_state,
    redis_state,
    signed_state,
    spawner_state,
    web_state,
)

log = logging.getLogger(__name__)

LOOK_LIMIT = 5.0
GRACE = 20.0
"""Seconds after our own start in which parts may still be starting."""

STOPPED = "stopped"
"""What the reactor's last sign says when it was asked to stop: that gap is nobody's failure."""

_SIGNS = """
SELECT part, at, healthy, coalesce(detail ->> 'message', '') FROM processes_partbeat WHERE part = ANY(%s)
"""
_KNOWN = "SELECT part, healthy FROM processes_partedge ORDER BY part"

# Conditional: the row is the last edge that was told. Who comes second, or again after a restart, finds it made.
_TURN = """
INSERT INTO processes_partedge AS e (part, healthy, since, message)
VALUES (%(part)s, %(healthy)s, %(now)s, %(message)s)
ON CONFLICT (part) DO UPDATE SET healthy = excluded.healthy, since = excluded.since, message = excluded.message
WHERE e.healthy <> excluded.healthy
"""

Checks = Mapping[str, Callable[[], PartState]]
Known = dict[str, bool]


class PartWatch:
    """``tick`` is called every few seconds; a part is away after ``fall`` bad looks in a row. What is found well
    the first time is not told."""

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection[Any]],
        clock: Clock,
        checks: Checks,
        after_commit: Callable[[], None] = lambda: None,
        *,
        fall: int = 3,
        grace: float = GRACE,
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._checks = checks
        self._after_commit = after_commit
        self._fall = fall
        self._patient_until = clock.monotonic() + grace
        self._opinions: dict[str, Hysteresis] = {}
        self._database_gone: datetime | None = None
        self._untold: dict[str, tuple[PartState, datetime]] = {}
        """What went away while the database was away too, and when."""

    async def look_back(self) -> None:
        """Before the reactor signs for the first time: tell of a gap in its own signs that nobody asked for."""
        async with self._pool.connection() as connection, connection.transaction():
            now, known = self._clock.now(), await _known(connection)
            for part, at, _, message in await (await connection.execute(_SIGNS, (["reactor"],))).fetchall():
                state = signed_state(at, True, "", now)
                if not state.healthy and message != STOPPED:
                    await _turn(connection, known, part, state, at)

    async def tick(self) -> None:
        names = list(self._checks)
        states = await asyncio.gather(*(asyncio.to_thread(self._checks[name]) for name in names))
        now, found = self._clock.now(), dict(zip(names, states, strict=True))
        try:
            async with asyncio.timeout(LOOK_LIMIT):
                told = await self._write(dict(found), now)
        except (DatabaseError, PoolTimeout, TimeoutError, OSError) as error:
            self._database_gone = self._database_gone or now
            self._remember(found, now)
            log.warning("the state of the parts cannot be written: %s", error)
        else:
            self._database_gone = None
            self._untold.clear()
            if told:
                self._after_commit()

    def _remember(self, found: dict[str, PartState], now: datetime) -> None:
        """A full disk takes the database with it: that it was full is told afterwards."""
        if self._clock.monotonic() >= self._patient_until:
            for part, state in found.items():
                if not state.healthy:
                    self._untold.setdefault(part, (state, now))

    async def _write(self, found: dict[str, PartState], now: datetime) -> bool:
        """One transaction; whether anything was told."""
        told = False
        async with self._pool.connection() as connection, connection.transaction():
            known = await _known(connection)
            for part, at, healthy, message in await (
                await connection.execute(_SIGNS, (list(SIGNING),))
            ).fetchall():
                found[part] = signed_state(at, healthy, message, now)
            if self._database_gone:
                gone = PartState(False, "no answer")
                told |= await _turn(connection, known, "postgres", gone, self._database_gone)
            told |= await _turn(connection, known, "postgres", PartState(True), now)
            for part, (state, at) in self._untold.items():
                told |= await _turn(connection, known, part, state, at)
            for part, state in found.items():
                if self._settled(part, state, known):
                    told |= await _turn(connection, known, part, state, now)
        return told

    def _settled(self, part: str, state: PartState, known: Known) -> bool:
        """Whether the state is an opinion by now, not just one look."""
        if not state.healthy and self._clock.monotonic() < self._patient_until:
            return False
        opinion = self._opinions.setdefault(part, Hysteresis(1, self._fall, 0, good=known.get(part)))
        opinion.take(state.healthy, self._clock.monotonic())
        return opinion.good is state.healthy


async def _known(connection: AsyncConnection[Any]) -> Known:
    return dict(await (await connection.execute(_KNOWN)).fetchall())


async def _turn(
    connection: AsyncConnection[Any], known: Known, part: str, state: PartState, at: datetime
) -> bool:
    """Write an edge, and tell of it unless it is a first good look; False where there is none."""
    before = known.get(part)
    if before is state.healthy:
        return False
    known[part] = state.healthy
    values = {"part": part, "healthy": state.healthy, "message": state.message[:300], "now": at}
    cursor = await connection.execute(_TURN, values)
    if cursor.rowcount != 1 or (before is None and state.healthy):
        return False
    log.warning("part %s is %s %s", part, "back" if state.healthy else "away", state.message)
    await record_async(connection, PartHealth(part=part, healthy=state.healthy, message=state.message))
    return True


def checks_of(config: Config) -> Checks:
    """The parts that are asked directly; the others sign."""
    return {
        "redis": lambda: redis_state(config),
        "broker": lambda: broker_state(config),
        "web": lambda: web_state(config),
        "spawner": lambda: spawner_state(config),
        "guard": lambda: guard_states(config)["guard"],
        "rules": lambda: guard_states(config)["rules"],
        "disk": lambda: disk_state(config),
    }
