"""Somebody sets the clock: what was to last so long still lasts so long.

Due times are wall times of the database's clock. How far that clock is ahead of the kernel's count of seconds since
boot, which nobody can set, stands in a row. When it is another distance, the clock was stepped by the difference, also
while the box was down, and every timer that was started in this boot before the step is moved along. Times of day
(cron, ``at``) are meant as such and stay. After a boot there is nothing to compare with: the wall clock counts then.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from psycopg import AsyncConnection, Error
from psycopg_pool import AsyncConnectionPool

from appliance.audit.services import AuditEntry, append_async
from appliance.lib.clock import Clock
from appliance.runs import clock_steps_sql as sql

log = logging.getLogger(__name__)

LEAST = 2.0
"""Seconds. A smaller step is what time synchronisation does, and no timer here is that exact."""
LOOK_AT_DATABASE = 30.0
"""Seconds after which the database is asked although this machine's clock did not step: it may have another one."""
PATIENCE = 20
"""Times that a database may fail over it while nothing is due; after that timers go by the wall clock."""

_BOOT = Path("/proc/sys/kernel/random/boot_id")


def since_boot() -> float:
    """Seconds since boot, with those in which the machine slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """Which boot of this machine it is; empty where the kernel does not say."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""


class ClockSteps:
    """One per reactor. ``look`` goes before anything that asks what is due."""

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection[Any]],
        clock: Clock,
        *,
        elapsed: Callable[[], float] = since_boot,
        boot: str | None = None,
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._elapsed = elapsed
        self._boot = boot_id() if boot is None else boot
        self._distance: float | None = None
        self._asked_at = 0.0
        self._failures = 0
        self._looking = asyncio.Lock()

    async def look(self) -> timedelta:
        """Move the timers where the clock was stepped; gives by how much, zero where it was not."""
        async with self._looking:
            distance = self._clock.now().timestamp() - self._elapsed()
            known, at_rest = self._distance, self._elapsed() - self._asked_at < LOOK_AT_DATABASE
            if known is not None and at_rest and abs(distance - known) < LEAST / 2:
                return timedelta()
            try:
                step = await self._compare()
            except Error:
                self._failures += 1
                if self._failures < PATIENCE:
                    raise
                log.exception("the timers are left to the wall clock: they cannot be moved")
                step = timedelta()
            self._failures = 0
            self._distance, self._asked_at = distance, self._elapsed()
            return step

    async def _compare(self) -> timedelta:
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute(sql.ONE_AT_A_TIME)
            before = self._elapsed()
            row = await (await connection.execute(sql.READ)).fetchone()
            assert row is not None
            now, boot, kept, since = row
            doubt = (self._elapsed() - before) / 2
            distance = now.timestamp() - before - doubt
            if boot != self._boot or kept is None:
                await connection.execute(sql.BEGIN, {"boot": self._boot, "distance": distance})
                return timedelta()
            if abs(distance - kept) < LEAST + doubt:
                return timedelta()
            step = timedelta(seconds=distance - kept)
            moved = await self._move(connection, step, since)
            await connection.execute(sql.KEEP, {"distance": distance, "step": step})
            detail = {"seconds": round(step.total_seconds(), 3), **moved}
            await append_async(connection, [AuditEntry("clock.stepped", "box", "clock", detail, now)])
        log.warning("the clock was stepped by %+.1f s: %s", step.total_seconds(), moved)
        return step

    async def _move(self, connection: AsyncConnection[Any], step: timedelta, since: Any) -> dict[str, int]:
        """How many timers of each kind were moved."""
        await connection.execute(sql.NO_LIMITS)
        await connection.execute(sql.LOCK)
        values = {"step": step, "since": since}
        moved = {}
        for name, statement in sql.MOVE.items():
            moved[name] = (await connection.execute(statement, values)).rowcount
        return moved
