"""Hands the turn on: where a run has ended, the next in its line is queued. Run by the reactor.

Nothing that ends a run has to know of lines. Each pass looks at what is: a holder that has ended leaves, and
the first of a line without a holder becomes the holder. So it holds after a crash of anybody at any moment.
"""

from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from appliance.audit.services import append_waiting
from appliance.events.services import record_async
from appliance.runs import admission_sql as lines
from appliance.runs import sql
from appliance.runs.changes import run_changed
from appliance.runs.domain import RunState, Waiting

AT_ONCE = 200
_NAME = "SELECT name FROM tasks_task WHERE id = %s"


class Turns:
    """Each line in a transaction of its own: one lock at a time."""

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[Any]]) -> None:
        self._pool = pool

    async def hand_on(self) -> list[UUID]:
        """Queue the next run of every line that can move; gives their ids. Puts on record whom others took over."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(lines.MOVING_LINES, {"limit": AT_ONCE})
            moving = await cursor.fetchall()
            await append_waiting(connection)
        started = []
        for task_id, key in moving:
            async with self._pool.connection() as connection, connection.transaction():
                run_id = await self._next(connection, task_id, key)
            if run_id is not None:
                started.append(run_id)
        return started

    async def _next(self, connection: AsyncConnection[Any], task_id: int, key: str) -> UUID | None:
        values = {"task_id": task_id, "key": key, "keys": [key]}
        await connection.execute(lines.LOCK_TASK, values)
        await connection.execute(lines.LEAVE_LINE, values)
        row = await (await connection.execute(lines.NEXT_IN_LINE, values)).fetchone()
        if row is None:
            return None
        run_id: UUID = row[0]
        woken = await connection.execute(sql.WAKE_ONE, {"id": run_id, "waiting_for": Waiting.TURN.value})
        if await woken.fetchone() is None:
            return None  # cancelled this very moment: the next pass finds it ended
        name = await (await connection.execute(_NAME, (task_id,))).fetchone()
        await record_async(
            connection,
            run_changed(run_id, name[0] if name else "", RunState.QUEUED, None, "its turn has come"),
        )
        return run_id
