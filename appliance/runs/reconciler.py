"""Checks invariants, repairs, and says what it repaired (P8, P10). Runs in the reactor and, at start, in the worker."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from appliance.audit.services import AuditEntry, append_async
from appliance.events.services import record_many_async
from appliance.lib.clock import Clock
from appliance.lib.crashpoints import reach
from appliance.lib.duties import done
from appliance.runs import sql
from appliance.runs.changes import names_of, run_changed
from appliance.runs.domain import RunState
from appliance.runs.invariants import Invariant, Repaired, Watch, callers, invariants, leases

log = logging.getLogger(__name__)

MOST_WOKEN = 1000

Connection = AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Repair:
    """One thing that was not as it must be, and what was done."""

    invariant: str
    subject: str
    done: str


class Reconciler:
    """Looks at each invariant by itself. All that it does is safe to do anywhere, any time, twice."""

    def __init__(self, pool: AsyncConnectionPool[Connection], clock: Clock, *, patience: float = 0.0) -> None:
        """``patience``: seconds for which a lease must have been out before its run is queued."""
        self._pool = pool
        self._clock = clock
        self._watch = Watch(clock, patience)

    async def recover(self, *, dead_owners: Sequence[str] = ()) -> list[Repair]:
        """Every running run has a live lease: queue those that have not, park those that never get on.

        With ``dead_owners`` only theirs: nothing is said of the leases of others, who may live.
        """
        if not dead_owners:
            return await self.repair(leases)
        return await self._repair(leases.SAYS, lambda connection: leases.take(connection, (), dead_owners))

    async def end_called(self) -> list[Repair]:
        """No run goes on for a caller that was cancelled: one caller after another, until there is none."""
        told: list[Repair] = []
        while some := await self.repair(callers):
            told += some
        return told

    async def wake_due(self) -> list[UUID]:
        """Queue every waiting run whose time has come; gives their ids. Some at a time: each is one short commit."""
        woken: list[UUID] = []
        while len(some := await self._wake_some()) == MOST_WOKEN:
            woken += some
        return woken + some

    async def _wake_some(self) -> list[UUID]:
        async with self._pool.connection() as connection, connection.transaction():
            cursor = await connection.execute(sql.WAKE_DUE, {"limit": MOST_WOKEN})
            rows = await cursor.fetchall()
            if rows:
                names = await names_of(connection, [row[1] for row in rows])
                await record_many_async(
                    connection,
                    [
                        run_changed(r[0], names.get(r[1], ""), RunState.QUEUED, None, "time to go on")
                        for r in rows
                        if r[2] is None
                    ],
                )
        return [row[0] for row in rows]

    async def check(self) -> list[Repair]:
        """Look at every invariant, each by itself: one that fails keeps no other from it. Raises PoolTimeout."""
        repairs: list[Repair] = []
        for invariant in invariants():

            async def look(invariant: Invariant = invariant) -> None:
                repairs.extend(await self.repair(invariant))

            look.__qualname__ = invariant.SAYS
            await done(look)
        return repairs

    async def repair(self, invariant: Invariant) -> list[Repair]:
        """Bring it about where it does not hold, and put that on record."""
        if not getattr(invariant, "BY_ITSELF", False):
            return await self._repair(
                invariant.SAYS, lambda connection: invariant.repair(connection, self._watch)
            )
        async with self._pool.connection() as connection:
            found = await invariant.repair(connection, self._watch)
        return await self._repair(invariant.SAYS, lambda _: _given(found))

    async def _repair(
        self, says: str, bring: Callable[[Connection], Awaitable[Sequence[Repaired]]]
    ) -> list[Repair]:
        async with self._pool.connection() as connection, connection.transaction():
            repairs = [Repair(says, str(subject), what) for subject, what in await bring(connection)]
            if repairs:
                await self._say(connection, repairs)
                reach("reconciler.before_commit")
        return repairs

    async def _say(self, connection: Connection, repairs: Sequence[Repair]) -> None:
        now = self._clock.now()
        entries = [
            AuditEntry(
                "reconciler.repaired", "box", r.subject, {"invariant": r.invariant, "done": r.done}, now
            )
            for r in repairs
        ]
        await append_async(connection, entries)
        for repair in repairs:
            log.warning("repaired: %s: %s %s", repair.invariant, repair.subject, repair.done)


async def _given(found: Sequence[Repaired]) -> Sequence[Repaired]:
    return found
