"""What became of messages that runs handed to the outbox (P9)."""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

from appliance.events import StepChanged
from appliance.events.services import record_many_async
from appliance.lib.crashpoints import reach
from appliance.lib.jsontypes import JsonObject
from appliance.runs import sql
from appliance.runs.changes import run_changed
from appliance.runs.domain import RunState, ShardOf, StepState, Waiting
from appliance.runs.resume_sql import SHARING
from appliance.runs.shards import counting

_TASK_NAME = """
SELECT t.name, r.split_id, r.parent_run_id FROM runs_run r JOIN tasks_task t ON t.id = r.task_id WHERE r.id = %s
"""
_SUCCEED = """
UPDATE runs_run SET state = 'succeeded', waiting_for = '', reason = '', finished_at = now(),
    version = version + 1
WHERE id = %(id)s AND state = 'waiting' AND waiting_for = 'delivery'
RETURNING parent_run_id
"""


class Receipts:
    """Told by the outbox's sender; implements its ReceiptListener."""

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection[Any]],
        hint: Callable[[Sequence[UUID]], None] = lambda run_ids: None,
    ) -> None:
        self._pool = pool
        self._hint = hint

    async def delivered(self, run_id: UUID, step_id: str, receipt: JsonObject) -> None:
        """The step succeeded; the run too, when this was the last thing it waited for."""
        await self._settle(run_id, step_id, StepState.SUCCEEDED, "", {"receipt": receipt})

    async def failed(self, run_id: UUID, step_id: str, error: str) -> None:
        """The step failed; the run is queued so that its ``on_failure`` steps get their turn."""
        await self._settle(run_id, step_id, StepState.FAILED, error, {})

    async def _settle(
        self, run_id: UUID, step_id: str, state: StepState, error: str, detail: JsonObject
    ) -> None:
        ended: list[tuple[UUID, ShardOf | None]] = []
        async with self._pool.connection() as connection, connection.transaction():
            ended.append((run_id, await self._settle_in(connection, run_id, step_id, state, error, detail)))
            # Runs that were resumed from this one share the step, and wait for the same message.
            # Asked again until nothing is new: while one was waited for, another may have been resumed from it.
            while sharing := await self._sharing(connection, run_id, step_id, {one for one, _ in ended}):
                for one in sharing:
                    shard_of = await self._settle_in(connection, one, step_id, state, error, detail)
                    ended.append((one, shard_of))
            reach("receipts.before_commit")
        reach("receipts.after_commit")
        for run, of in ended:
            if of is not None:
                await self._count(run, of)

    async def _sharing(
        self, connection: AsyncConnection[Any], run_id: UUID, step_id: str, known: set[UUID]
    ) -> list[UUID]:
        cursor = await connection.execute(SHARING, {"run_id": run_id, "step": step_id})
        return [row[0] for row in await cursor.fetchall() if row[0] not in known]

    async def _settle_in(
        self,
        connection: AsyncConnection[Any],
        run_id: UUID,
        step_id: str,
        state: StepState,
        error: str,
        detail: JsonObject,
    ) -> ShardOf | None:
        """Gives where the run's end is to be counted, when it is a shard."""
        cursor = await connection.execute(sql.LOCK_RUN, {"id": run_id})
        run = await cursor.fetchone()
        cursor = await connection.execute(
            sql.RECEIPT,
            {
                "run_id": run_id,
                "step": step_id,
                "state": state.value,
                "error": error[:2000],
                "detail": Jsonb(detail),
            },
        )
        if run is None or await cursor.fetchone() is None:
            return None
        return await self._advance(connection, run_id, step_id, state, error, waits=tuple(run[:2]))

    async def _count(self, run_id: UUID, shard_of: ShardOf) -> None:
        """In a transaction of its own: the run that was split is locked for as short as can be."""
        async with self._pool.connection() as connection, connection.transaction():
            _, queued = await counting.count(connection, shard_of, [run_id])
        self._hint(queued)

    async def _advance(
        self,
        connection: AsyncConnection[Any],
        run_id: UUID,
        step_id: str,
        state: StepState,
        error: str,
        *,
        waits: tuple[str, str],
    ) -> ShardOf | None:
        """Gives where the run's end is to be counted, when it is a shard."""
        cursor = await connection.execute(_TASK_NAME, (run_id,))
        row = await cursor.fetchone()
        task = row[0] if row else ""
        events: list[Any] = [
            StepChanged(run_id=str(run_id), task=task, step=step_id, state=state.value, error=error)
        ]
        if waits == (RunState.WAITING.value, Waiting.DELIVERY.value):
            if state is StepState.FAILED:
                await connection.execute(sql.WAKE_ONE, {"id": run_id, "waiting_for": Waiting.DELIVERY.value})
                events.append(run_changed(run_id, task, RunState.QUEUED, None, error))
            else:
                cursor = await connection.execute(sql.UNDELIVERED, {"id": run_id})
                left = await cursor.fetchone()
                if left and not left[0]:
                    cursor = await connection.execute(_SUCCEED, {"id": run_id})
                    ended = await cursor.fetchone()
                    if ended and ended[0]:
                        values = {"id": ended[0], "waiting_for": Waiting.TIMER.value}
                        await connection.execute(sql.WAKE_ONE, values)
                    events.append(run_changed(run_id, task, RunState.SUCCEEDED, None, "delivered"))
        if row and row[1] is not None:
            return ShardOf(row[1], row[2])
        await record_many_async(connection, events)
        return None
