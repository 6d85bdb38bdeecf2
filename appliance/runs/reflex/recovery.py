"""What an earlier reactor acknowledged and could not bring to its end: its runs go to the worker lane (P10)."""

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from appliance.bus.batches import is_transient
from appliance.events.services import record_many_async
from appliance.runs.changes import run_changed
from appliance.runs.domain import RunState
from appliance.runs.reflex import sql
from appliance.runs.reflex.lost import LostRun, put_on_record
from appliance.runs.services import run_parameters
from appliance.runs.sql import INSERT_RUN
from appliance.tasks.definition import TaskDefinition
from appliance.tasks.ports import NewRun

log = logging.getLogger(__name__)

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
    """Queue the run of every occurrence from ``settled`` on that has none; gives the runs. Safe to repeat.

    A run that cannot be queued (its version is gone, or this release cannot read it) is put on record as lost: the
    reactor must not stay deaf for it.
    """
    queued: list[UUID] = []
    while True:
        async with pool.connection() as connection, connection.transaction():
            cursor = await connection.execute(sql.UNSETTLED, {"settled": settled, "limit": PAGE})
            rows = await cursor.fetchall()
            found = [await _queued(connection, row, definition_of, now) for row in rows]
            runs = [run for run in found if run is not None]
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


async def _queued(
    connection: AsyncConnection[Any], row: Any, definition_of: DefinitionOf, now: datetime
) -> NewRun | None:
    try:
        run = _run(row, await definition_of(row[7]))
        async with connection.transaction():
            await connection.execute(INSERT_RUN, run_parameters(run, now))
    except Exception as error:
        if is_transient(error):
            raise
        log.exception("run %s of an earlier reactor cannot be queued", row[6])
        name = await _task(connection, row[1])
        await put_on_record(connection, LostRun(row[6], row[0], name, row[2], f"{error!r}"))
        return None
    return run


async def _task(connection: AsyncConnection[Any], task_id: int) -> str:
    cursor = await connection.execute("SELECT name FROM tasks_task WHERE id = %s", (task_id,))
    row = await cursor.fetchone()
    return row[0] if row else "deleted task"


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
