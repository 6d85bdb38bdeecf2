"""Lines before targets that are away: who waits longest acts first, and nobody overtakes.

A run stands in the line of one target from the moment in which it found it away, until the step is over or the run
ends. Nothing that ends a run has to know of lines: who has ended is seen to have ended.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from appliance.events.services import record_many_async
from appliance.runs import away_sql as sql
from appliance.runs.changes import run_changed
from appliance.runs.domain import RunState

LOOK_AGAIN = 3600.0
"""Seconds after which a run behind others looks by itself, though nobody has woken it. The one before it does, and
`Lines.hand_on` within a second: a line may be long, and each look is a claim."""
AT_ONCE = 1000
_NAMES = "SELECT id, name FROM tasks_task WHERE id = ANY(%s)"


@dataclass(frozen=True, slots=True)
class Place:
    """In which line a run stands, and whether it waits for those before it, or for the target itself."""

    target: str
    behind: bool


async def is_behind(connection: AsyncConnection[Any], run_id: UUID, target: str) -> bool:
    """Whether an older run waits for this target."""
    row = await (await connection.execute(sql.IS_BEHIND, {"run_id": run_id, "target": target})).fetchone()
    return bool(row and row[0])


async def target_of(connection: AsyncConnection[Any], run_id: UUID) -> str:
    """The target in whose line the run stands; empty where it stands in none."""
    row = await (await connection.execute(sql.PLACE, {"run_id": run_id})).fetchone()
    return str(row[0]) if row else ""


async def join(connection: AsyncConnection[Any], run_id: UUID, place: Place) -> None:
    """Take this place, and leave any other, in the caller's transaction."""
    values = {"run_id": run_id, "target": place.target, "behind": place.behind}
    await connection.execute(sql.JOIN, values)


async def leave(connection: AsyncConnection[Any], run_id: UUID, target: str) -> list[UUID]:
    """Leave the line in the caller's transaction; gives who is queued by that: the next one."""
    values = {"run_id": run_id, "target": target}
    await connection.execute(sql.LEAVE, values)
    return await _woken(connection, sql.WAKE_NEXT, values, "the run before it is done with its target")


class Lines:
    """What the reactor does for lines that nobody moves on: the run that was to do it has ended some other way."""

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[Any]]) -> None:
        self._pool = pool

    async def hand_on(self) -> list[UUID]:
        """Queue who has become the first of a line; gives their ids.

        A first one that waits for a worker becomes as urgent as the most urgent one behind it.
        """
        async with self._pool.connection() as connection:
            some = await (await connection.execute(f"SELECT {sql.SOME_AWAY}")).fetchone()
            if not (some and some[0]):
                return []
            urgent = await (await connection.execute(sql.MORE_URGENT_BEHIND)).fetchall()
            for run_id, priority in urgent:
                await connection.execute(sql.LIFT, {"run_id": run_id, "priority": priority})
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute(sql.FORGET_ENDED, {"limit": AT_ONCE})
            return await _woken(connection, sql.WAKE_FIRSTS, {}, "nobody is before it any more")


async def _woken(
    connection: AsyncConnection[Any], query: str, values: dict[str, Any], why: str
) -> list[UUID]:
    rows: Sequence[Any] = await (await connection.execute(query, values)).fetchall()
    if rows:
        cursor = await connection.execute(_NAMES, ([row[1] for row in rows],))
        names = dict(await cursor.fetchall())
        told = [
            run_changed(row[0], names.get(row[1], ""), RunState.QUEUED, None, why)
            for row in rows
            if row[2] is None
        ]
        await record_many_async(connection, told)
    return [row[0] for row in rows]
