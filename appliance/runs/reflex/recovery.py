"""What an earlier reactor acknowledged and could not bring to its end: its runs go to the worker lane (P10)."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from appliance.events.services import record_many_async
from appliance.runs.changes import run_changed
from appliance.runs.domain import RunState
from appliance.runs.reflex import sql
from appliance.runs.services import run_parameters
from appliance.runs.sql import INSERT_RUN
from appliance.tasks.definition import TaskDefinition
from appliance.tasks.ports import NewRun

PAGE = 500
REASON = "its reactor stopped before it was over"
WARNING = "taken over after a crash: an instant step may have been done a second time"

DefinitionOf = Callable[[int], Awaitable[TaskDefinition]]


async def recover(
    pool: AsyncConnectionPool[AsyncConnection[Any]],
    settled: UUID,
    definition_of: DefinitionOf,
    now: datetime,
) -> list[UUID]:
    """Queue the run of every occurrence from ``settled`` on that has none; gives the runs. Safe to repeat."""
    queued: list[UUID] = []
    while True:
        async with pool.connection() as connection, connection.transaction():
            cursor = await connection.execute(sql.UNSETTLED, {"settled": settled, "limit": PAGE})
            rows = await cursor.fetchall()
            runs = [_run(row, await definition_of(row[7])) for row in rows]
            for run in runs:
                await connection.execute(INSERT_RUN, run_parameters(run, now))
            ids = [run.id for run in runs]
            await connection.execute(sql.HAVE_RECOVERED, {"ids": ids, "warning": WARNING})
            await record_many_async(
                connection,
                [
                    run_changed(run.id, run.definition.name, RunState.QUEUED, None, REASON, run.principal)
                    for run in runs
                ],
            )
        queued += ids
        if len(rows) < PAGE:
            return queued


def _run(row: Any, definition: TaskDefinition) -> NewRun:
    occurrence_id, task_id, trigger, _due, reason, event, run_id, version_id = row
    return NewRun(
        id=run_id,
        task_id=task_id,
        version_id=version_id,
        definition=definition,
        principal=f"trigger:{definition.name}/{trigger}",
        origin="mqtt",
        trigger=trigger,
        inputs=event,
        reason=reason,
        occurrence_id=occurrence_id,
    )
