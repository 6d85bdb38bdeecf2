"""The hot path's door to the rows: every function is one transaction, one or two round trips."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

from appliance.actions.contract import EffectClass
from appliance.audit.services import AuditEntry, append_async
from appliance.events import StepChanged
from appliance.events.services import record_many_async
from appliance.lib.crashpoints import reach
from appliance.lib.errors import MillwrightError
from appliance.lib.jsontypes import JsonObject
from appliance.lib.plain import plain, plain_text
from appliance.runs import sql
from appliance.runs.called import end_called_async
from appliance.runs.changes import run_changed
from appliance.runs.domain import FINAL, Lease, RunState, ShardOf, StepState, Waiting
from appliance.runs.lending import lent
from appliance.runs.plan import Phase, StepRow
from appliance.runs.shards import counting
from appliance.runs.shards.sql import STILL_OPEN
from appliance.safety.approvals.sql import WITHOUT_OPEN

LEASE = timedelta(seconds=15)
KEPT_TEXT = 64 * 1024


class LeaseLost(MillwrightError):
    """Another executor holds the run now; nothing of ours may be written any more (P4)."""

    code = "runs.lease_lost"


@dataclass(frozen=True, slots=True)
class RunRow:
    """A claimed run as the executor needs it."""

    id: UUID
    task_id: int
    version_id: int
    principal: str
    origin: str
    trigger: str
    priority: int
    inputs: JsonObject
    deadline: datetime | None
    cancel_requested: bool
    undo_requested: bool
    epoch: int
    recoveries: int
    parent_run_id: UUID | None
    forked_at_step: str
    created_at: datetime
    warning: str
    split_id: UUID | None = None

    @property
    def shard_of(self) -> ShardOf | None:
        if self.split_id is None or self.parent_run_id is None:
            return None
        return ShardOf(self.split_id, self.parent_run_id)


@dataclass(frozen=True, slots=True)
class StepWrite:
    """One step row to write, with what the event and the audit record say of it."""

    step: str
    attempt: int
    position: int
    phase: Phase
    kind: str
    effect: EffectClass
    state: StepState
    started_at: datetime
    finished_at: datetime | None = None
    input: JsonObject | None = None
    output: Any = None
    detail: JsonObject | None = None
    stderr: str = ""
    error: str = ""
    checkpoint: JsonObject | None = None
    due_at: datetime | None = None


class Ledger:
    """Claims, steps and ends of runs over one connection pool."""

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[Any]], owner: str) -> None:
        self.pool = pool
        self.owner = owner
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
        async with self.transaction() as connection:
            cursor = connection.cursor(row_factory=dict_row)
            await cursor.execute(sql.CLAIM, {"id": run_id, "owner": self.owner, "lease": LEASE})
            row = await cursor.fetchone()
        if row is None:
            return None
        return RunRow(**{name: row[name] for name in RunRow.__dataclass_fields__})

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
                )
                for row in await cursor.fetchall()
            ]

    async def write_steps(
        self,
        connection: AsyncConnection[Any],
        lease: Lease,
        task: str,
        writes: Sequence[StepWrite],
        audit: Sequence[AuditEntry] = (),
    ) -> None:
        """Write step rows under the lease in the caller's transaction. Raises LeaseLost."""
        written = [await connection.execute(sql.WRITE_STEP, _parameters(lease, write)) for write in writes]
        events = [
            StepChanged(
                run_id=str(lease.run_id),
                step=write.step,
                state=write.state.value,
                task=task,
                kind=write.kind,
                attempt=write.attempt,
                error=write.error[:500],
            )
            for write in writes
        ]
        if lease.shard_of is None:
            await record_many_async(connection, events)
        if audit:
            await append_async(connection, audit)
        # Asked only now: in a pipeline everything above went out in one round trip.
        for cursor in written:
            if await cursor.fetchone() is None:
                raise LeaseLost(f"run {lease.run_id} is held by another worker")

    async def release(
        self,
        lease: Lease,
        task: str,
        state: RunState,
        *,
        reason: str = "",
        warning: str = "",
        waiting_for: Waiting | None = None,
        wake_at: datetime | None = None,
        writes: Sequence[StepWrite] = (),
        audit: Sequence[AuditEntry] = (),
        progress: bool = True,
        handed_over: Sequence[str] = (),
    ) -> RunState:
        """Write the last rows and give the run up in its new state. Raises LeaseLost.

        A run that succeeded but has messages under way becomes ``waiting: delivery`` (P9); one of whose
        ``handed_over`` steps was refused meanwhile is queued, for its ``on_failure`` steps. The row is locked
        first, so that a receipt arriving now is either seen here or sees the new state. A run whose
        cancellation was asked for does not wait: it ends, and what it has called with it.
        """
        queued: list[UUID] = []
        self.releasing.add(lease.run_id)
        reach("worker.before_release")
        async with self.transaction() as connection:
            cursor = await connection.execute(sql.LOCK_RUN, {"id": lease.run_id})
            locked = await cursor.fetchone()
            if writes:
                await self.write_steps(connection, lease, task, writes)
            if state is RunState.SUCCEEDED:
                state, waiting_for = await self._unless_delivered(connection, lease, handed_over)
                if state is RunState.QUEUED:
                    reason = "a message could not be delivered"
            if state is RunState.WAITING and locked and locked[2]:
                state, waiting_for, wake_at = RunState.CANCELLED, None, None
            elif await self._is_over(connection, lease, waiting_for):
                state, waiting_for, wake_at, queued = RunState.QUEUED, None, None, [lease.run_id]
            if state is RunState.CANCELLED and locked and locked[2]:
                reason = locked[3]
            cursor = await connection.execute(
                sql.RELEASE,
                {
                    "id": lease.run_id,
                    "epoch": lease.epoch,
                    "state": state.value,
                    "waiting_for": waiting_for.value if waiting_for else "",
                    "reason": plain_text(reason)[:1000],
                    "warning": plain_text(warning)[:1000],
                    "wake_at": wake_at,
                    "progress": progress,
                    "final": state in FINAL,
                },
            )
            counted = None
            if lease.shard_of is not None and state in FINAL:
                counted = await counting.Count.send(connection, lease.shard_of, [lease.run_id])
            row = await cursor.fetchone()
            if row is None:
                raise LeaseLost(f"run {lease.run_id} is held by another worker")
            if state is RunState.CANCELLED:
                await connection.execute(sql.END_STEPS, {"ids": [lease.run_id]})
            if row[0] is not None and state in FINAL:
                await connection.execute(sql.WAKE_ONE, {"id": row[0], "waiting_for": Waiting.TIMER.value})
            if lease.shard_of is None:
                change = run_changed(lease.run_id, task, state, waiting_for, reason)
                await record_many_async(connection, [change])
            if counted is not None:
                _, queued = await counted.result(connection)
            if audit:
                await append_async(connection, audit)
        reach("worker.after_release")
        if state is RunState.CANCELLED:
            async with self.transaction() as connection:
                await end_called_async(connection, lease.run_id, reason)
        if queued:
            self.on_queued(queued)
        return state

    async def _is_over(self, connection: AsyncConnection[Any], lease: Lease, waiting: Waiting | None) -> bool:
        """Whether what it would wait for came while it went on, and found nobody to wake."""
        if waiting is Waiting.SHARDS:
            cursor = await connection.execute(STILL_OPEN, {"run_id": lease.run_id})
            row = await cursor.fetchone()
            return row is not None and row[0] == 0
        if waiting is Waiting.APPROVAL:
            cursor = await connection.execute(WITHOUT_OPEN, {"id": lease.run_id})
            row = await cursor.fetchone()
            return row is not None and row[0]
        return False

    async def _unless_delivered(
        self, connection: AsyncConnection[Any], lease: Lease, handed_over: Sequence[str]
    ) -> tuple[RunState, Waiting | None]:
        """What success becomes, now that the receipts are known that came while the run went on."""
        if handed_over:
            values = {"id": lease.run_id, "handed_over": list(handed_over)}
            cursor = await connection.execute(sql.REFUSED_MEANWHILE, values)
            row = await cursor.fetchone()
            if row and row[0]:
                return RunState.QUEUED, None
        cursor = await connection.execute(sql.UNDELIVERED, {"id": lease.run_id})
        row = await cursor.fetchone()
        if row and row[0]:
            return RunState.WAITING, Waiting.DELIVERY
        return RunState.SUCCEEDED, None

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

    async def queued(self, known: Sequence[UUID], limit: int) -> list[UUID]:
        async with self.pool.connection() as connection:
            cursor = await connection.execute(sql.QUEUED, {"known": list(known), "limit": limit})
            return [row[0] for row in await cursor.fetchall()]


def _parameters(lease: Lease, write: StepWrite) -> dict[str, Any]:
    return {
        "run_id": lease.run_id,
        "epoch": lease.epoch,
        "step": write.step,
        "attempt": write.attempt,
        "position": write.position,
        "phase": write.phase.value,
        "kind": write.kind,
        "effect": write.effect.value,
        "state": write.state.value,
        "input": Jsonb(plain(write.input)) if write.input is not None else None,
        "output": Jsonb(plain(write.output)),
        "detail": Jsonb(plain(write.detail)) if write.detail is not None else None,
        "stderr": plain_text(write.stderr)[:KEPT_TEXT],
        "error": plain_text(write.error)[:2000],
        "checkpoint": Jsonb(write.checkpoint) if write.checkpoint is not None else None,
        "due_at": write.due_at,
        "started_at": write.started_at,
        "finished_at": write.finished_at,
    }
