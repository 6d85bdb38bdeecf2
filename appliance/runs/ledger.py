"""The hot path's door to the rows: every function is one transaction, mostly one round trip."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from appliance.actions.contract import EffectClass
from appliance.audit.services import AuditEntry
from appliance.lib.crashpoints import reach
from appliance.runs import at_once, queue_sql, sql
from appliance.runs.called import end_called_async
from appliance.runs.claims import Claims
from appliance.runs.domain import Lease, RunState, StepState
from appliance.runs.lending import lent
from appliance.runs.plan import Phase, StepRow
from appliance.runs.release import Release, Released, release
from appliance.runs.rows import LEASE, RunRow, StepWrite
from appliance.runs.together import Together
from appliance.safety.gate import Action, Look


class Ledger:
    """Claims, steps and ends of runs over one connection pool."""

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection[Any]],
        owner: str,
        *,
        acts_after_disk: bool = True,
    ) -> None:
        """``acts_after_disk``: no effect before the disk has its intent; else only an unsafe one waits for that."""
        self.pool = pool
        self.acts_after_disk = acts_after_disk
        self.owner = owner
        self._claims = Claims(pool, owner)
        self._together = Together(pool)
        self.on_queued: Callable[[Sequence[UUID]], None] = lambda run_ids: None
        """Told after a commit which runs it queued: the executor may take them up at once."""
        self.releasing: set[UUID] = set()
        """Runs that are being given up, until the executor has let go of them: no lease of theirs is missed."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection[Any]]:
        """One transaction; its statements go out together until one of their results is asked for."""
        async with lent(self.pool) as connection, connection.pipeline(), connection.transaction():
            yield connection

    async def claim(self, run_id: UUID) -> RunRow | None:
        """Take the run if it is queued; None when somebody else has it or it is not to be run."""
        return await self._claims.take(run_id)

    async def steps(self, run_id: UUID) -> list[StepRow]:
        async with self.pool.connection() as connection:
            cursor = connection.cursor(row_factory=dict_row)
            await cursor.execute(sql.STEPS_OF, {"run_id": run_id})
            return [
                StepRow(
                    step=row["step"],
                    attempt=row["attempt"],
                    position=row["position"],
                    phase=Phase(row["phase"]),
                    effect=EffectClass(row["effect"]),
                    state=StepState(row["state"]),
                    output=row["output"],
                    stderr=row["stderr"],
                    error=row["error"],
                    checkpoint=row["checkpoint"],
                    due_at=row["due_at"],
                    shared_from=row["shared_from"],
                    started_at=row["started_at"],
                )
                for row in await cursor.fetchall()
            ]

    async def write(
        self,
        lease: Lease,
        action: Action,
        decided: Look | None,
        writes: Sequence[StepWrite],
        audit: Sequence[AuditEntry] = (),
        payment: at_once.Payment = at_once.NOTHING,
        *,
        relaxed: bool = False,
    ) -> at_once.Written:
        """See ``at_once.write``. Raises LeaseLost."""
        return await at_once.write(
            self._together, lease, action, decided, writes, audit, payment, relaxed=relaxed
        )

    async def release(self, lease: Lease, task: str, wanted: Release) -> RunState:
        """Write the last rows and give the run up; gives the state that it is in now. Raises LeaseLost."""
        self.releasing.add(lease.run_id)
        reach("worker.before_release")
        released = await self._end_at_once(lease, task, wanted)
        if released is None:
            async with self.transaction() as connection:
                released = await release(connection, lease, task, wanted)
        reach("worker.after_release")
        if released.state is RunState.CANCELLED:
            async with self.transaction() as connection:
                await end_called_async(connection, lease.run_id, released.reason)
        if released.queued:
            self.on_queued(released.queued)
        return released.state

    async def _end_at_once(self, lease: Lease, task: str, wanted: Release) -> Released | None:
        if not at_once.is_ordinary(lease, wanted):
            return None
        ended = await at_once.end(self._together, lease, task, wanted)
        return Released(wanted.state, wanted.reason) if ended else None

    async def renew(self, leases: Sequence[Lease]) -> dict[UUID, bool]:
        """Prolong the leases; gives those still held, each with whether its cancellation was asked for."""
        async with self.transaction() as connection:
            cursor = await connection.execute(
                sql.RENEW,
                {
                    "ids": [lease.run_id for lease in leases],
                    "epochs": [lease.epoch for lease in leases],
                    "owner": self.owner,
                    "lease": LEASE,
                },
            )
            return {row[0]: row[1] for row in await cursor.fetchall()}

    async def queued(self, known: Sequence[UUID], room: int) -> tuple[list[UUID], bool]:
        """Up to ``room`` runs that are next and none of ``known``; and whether more are queued than that."""
        async with self.pool.connection() as connection:
            cursor = await connection.execute(queue_sql.NEXT, {"known": list(known), "room": room})
            rows = await cursor.fetchall()
        return [row[0] for row in rows], any(row[1] for row in rows)
