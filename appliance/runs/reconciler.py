"""Checks invariants, repairs, and says what it repaired (P8, P10). Runs in the reactor and, at start, in the worker."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from appliance.audit.services import AuditEntry, append_async
from appliance.events import ApprovalChanged, RunChanged
from appliance.events.services import record_many_async
from appliance.lib.clock import Clock
from appliance.lib.crashpoints import reach
from appliance.lib.duties import done
from appliance.runs import sql
from appliance.runs.called import end_called_async
from appliance.runs.changes import run_changed
from appliance.runs.domain import RECOVERY_LIMIT, RunState
from appliance.runs.invariants import Invariant, invariants
from appliance.runs.rows import LEASE

log = logging.getLogger(__name__)

_NAMES = "SELECT id, name FROM tasks_task WHERE id = ANY(%s)"
_SPEAKS = "an enabled time trigger has its next due time"
_SILENT = """
SELECT t.name, g.trigger FROM tasks_tasktrigger g JOIN tasks_task t ON t.id = g.task_id
WHERE g.active AND t.enabled AND (
    (g.kind IN ('cron', 'every') AND g.next_due IS NULL)
    OR g.next_due < now() - interval '5 minutes')
"""
MOST_WOKEN = 1000

_ASKED_FOR_NOTHING = """
UPDATE safety_approval a SET state = 'void', closed_at = now(), closed_because = 'its run has ended'
WHERE a.id IN (
    SELECT o.id FROM safety_approval o
    WHERE (o.state = 'open' OR (o.state = 'approved' AND o.purpose = 'gate'))
        AND NOT EXISTS (
            SELECT 1 FROM runs_run r WHERE r.id = o.run_id AND r.state IN ('queued', 'running', 'waiting'))
    ORDER BY o.id LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
RETURNING a.id, a.run_id, a.task, a.step
"""


@dataclass(frozen=True, slots=True)
class Repair:
    """One thing that was not as it must be, and what was done."""

    invariant: str
    subject: str
    done: str


class Reconciler:
    """Each check is one statement; all are safe to run anywhere, any time, twice."""

    def __init__(
        self, pool: AsyncConnectionPool[AsyncConnection[Any]], clock: Clock, *, patience: float = 0.0
    ) -> None:
        """``patience``: seconds for which a lease must have been out, unchanged, before its run is queued. A clock
        that was set forward, or a database that was away, ends all leases at once; who lives renews them."""
        self._pool = pool
        self._clock = clock
        self._patience = patience
        self._out: dict[tuple[UUID, datetime], float] = {}
        """Leases that were out at the last look, and since when (monotonic)."""

    async def recover(self, *, dead_owners: Sequence[str] = ()) -> list[Repair]:
        """Every running run has a live lease: queue those that have not, park those that never get on.

        With ``dead_owners`` only theirs: nothing is said of the leases of others, who may live.
        """
        async with self._pool.connection() as connection, connection.transaction():
            gone = [] if dead_owners else await self._gone(connection)
            if not gone and not dead_owners:
                return []
            cursor = await connection.execute(
                sql.RECOVER,
                {
                    "ids": [run_id for run_id, _ in gone],
                    "untils": [until for _, until in gone],
                    "limit": RECOVERY_LIMIT,
                    "dead_owners": list(dead_owners),
                    "reason": "its worker stopped; recovered",
                    "poison_reason": f"stopped its worker {RECOVERY_LIMIT + 1} times without getting on: parked",
                },
            )
            rows = await cursor.fetchall()
            if not rows:
                return []
            names = await self._names(connection, [row[2] for row in rows])
            changes: list[RunChanged] = [
                run_changed(row[0], names.get(row[2], ""), RunState(row[1]), None, row[3])
                for row in rows
                if row[4] is None
            ]
            repairs = [Repair("a running run has a live lease", str(row[0]), row[1]) for row in rows]
            await record_many_async(connection, changes)
            await self._say(connection, repairs)
            reach("reconciler.before_commit")
        return repairs

    async def _gone(self, connection: AsyncConnection[Any]) -> list[tuple[UUID, datetime]]:
        """The leases that have been out for long enough."""
        found = await (await connection.execute(sql.SUSPECTS, {"lease": LEASE})).fetchall()
        now = self._clock.monotonic()
        self._out = {(run_id, until): self._out.get((run_id, until), now) for run_id, until in found}
        return [lease for lease, since in self._out.items() if now - since >= self._patience]

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
                names = await self._names(connection, [row[1] for row in rows])
                await record_many_async(
                    connection,
                    [
                        run_changed(r[0], names.get(r[1], ""), RunState.QUEUED, None, "time to go on")
                        for r in rows
                        if r[2] is None
                    ],
                )
        return [row[0] for row in rows]

    async def called_by_cancelled(self) -> list[UUID]:
        """No run goes on for a caller that was cancelled; gives those that were told to end."""
        async with self._pool.connection() as connection:
            callers = await (await connection.execute(sql.CALLED_BY_CANCELLED)).fetchall()
        told: list[UUID] = []
        for caller, reason in callers:
            async with self._pool.connection() as connection, connection.transaction():
                told += (ended := await end_called_async(connection, caller, reason))
                await self._say(
                    connection,
                    [Repair("no run goes on for a cancelled caller", str(one), "ended") for one in ended],
                )
        return told

    async def asked_for_nothing(self) -> int:
        """Nobody is asked about a run that has ended: its approvals are void, some at a time. Gives how many were."""
        async with self._pool.connection() as connection, connection.transaction():
            rows = await (await connection.execute(_ASKED_FOR_NOTHING, {"limit": MOST_WOKEN})).fetchall()
            events = [
                ApprovalChanged(str(row[0]), str(row[1]), row[2], row[3], "void", "box") for row in rows
            ]
            if events:
                await record_many_async(connection, events)
            entries = [
                AuditEntry(
                    "approval.void", "box", str(row[0]), {"run": str(row[1]), "because": "its run has ended"}
                )
                for row in rows
            ]
            await append_async(connection, entries)
        return len(rows)

    async def check(self) -> list[Repair]:
        """Look at every invariant that has a module, each by itself. Raises PoolTimeout."""
        repairs: list[Repair] = []
        for invariant in invariants():

            async def look(invariant: Invariant = invariant) -> None:
                repairs.extend(await self.repair(invariant))

            look.__qualname__ = invariant.SAYS
            await done(look)
        return repairs

    async def repair(self, invariant: Invariant) -> list[Repair]:
        """Bring it about where it does not hold, and put that on record."""
        async with self._pool.connection() as connection, connection.transaction():
            found = await invariant.repair(connection, self._clock.now())
            repairs = [Repair(invariant.SAYS, str(subject), what) for subject, what in found]
            await self._say(connection, repairs)
        return repairs

    async def silent_triggers(self, look: Callable[[], Awaitable[object]]) -> list[Repair]:
        """Every enabled time trigger has a next due time, and is not minutes behind it: ``look`` brings that about.

        On record are those that it has brought back.
        """
        before = await self._silent()
        await look()
        if not before:
            return []
        left = await self._silent()
        repairs = [Repair(_SPEAKS, one, "looked at") for one in before if one not in left]
        async with self._pool.connection() as connection, connection.transaction():
            await self._say(connection, repairs)
        return repairs

    async def _silent(self) -> list[str]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_SILENT)
            return [f"{task}/{trigger}" for task, trigger in await cursor.fetchall()]

    async def _names(self, connection: AsyncConnection[Any], ids: Sequence[int]) -> dict[int, str]:
        cursor = await connection.execute(_NAMES, (list(ids),))
        return dict(await cursor.fetchall())

    async def _say(self, connection: AsyncConnection[Any], repairs: Sequence[Repair]) -> None:
        if not repairs:
            return
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
