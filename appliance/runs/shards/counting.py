"""Shards that ended are counted, the next get their turn, and the split's outcome is decided: in one transaction.

Whoever counts takes the lock of the run that was split first, so that two shards that end in the same moment
are counted one after another.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Self
from uuid import UUID

from psycopg import AsyncConnection, AsyncCursor
from psycopg.rows import dict_row

from appliance.events import ShardsChanged
from appliance.events.services import record_async
from appliance.lib.identity import time_of, uuid_floor
from appliance.runs.domain import ShardOf
from appliance.runs.shards import sql
from appliance.runs.shards.split import Split

NOT_NEEDED = "its step was decided without it"
Connection = AsyncConnection[Any]


class Count:
    """One count, sent with the statements around it: its result is asked for when theirs are."""

    def __init__(self, cursor: AsyncCursor[dict[str, Any]]) -> None:
        self._cursor = cursor

    @classmethod
    async def send(
        cls,
        connection: Connection,
        shard_of: ShardOf,
        ids: Sequence[UUID] = (),
        *,
        swept: int = 0,
        passed: int = 0,
    ) -> Self:
        """Count those of the shards ``ids`` that ended and were not counted.

        ``swept`` of the next ``passed`` shards were cancelled before their turn."""
        await connection.execute(sql.LOCK_RUN, {"run_id": shard_of.run_id})
        cursor = connection.cursor(row_factory=dict_row)
        began = time_of(shard_of.split_id)
        values = {
            "id": shard_of.split_id,
            "run_id": shard_of.run_id,
            "ids": list(ids),
            "swept": swept,
            "passed": passed,
            "first_id": uuid_floor(began),
            "end_id": uuid_floor(began + timedelta(milliseconds=1)),
        }
        # Never prepared: a plan that fits every split reads all of its shards, one for this split reads the next.
        await cursor.execute(sql.COUNT, values, prepare=False)
        return cls(cursor)

    async def result(self, connection: Connection) -> tuple[Split, list[UUID]]:
        """The split as it is now, and the runs that this queued; in the same transaction."""
        row = await self._cursor.fetchone()
        assert row is not None, "a split has a row as long as its shards have"
        split = Split.of(row)
        if row["tell"]:
            await record_async(connection, changed(split))
        if split.outcome and split.closed_at is None:
            await end_live(connection, split)
        return split, row["queued"]


async def count(
    connection: Connection, shard_of: ShardOf, ids: Sequence[UUID] = (), *, swept: int = 0, passed: int = 0
) -> tuple[Split, list[UUID]]:
    """Send a count and wait for its result."""
    sent = await Count.send(connection, shard_of, ids, swept=swept, passed=passed)
    return await sent.result(connection)


async def lock(connection: Connection, run_id: UUID) -> None:
    """Lock the run that was split: whatever changes a split holds this."""
    await connection.execute(sql.LOCK_RUN, {"run_id": run_id})


async def end_live(connection: Connection, split: Split) -> list[UUID]:
    """End the shards that had their turn and are not done; gives those that a worker must stop."""
    values = {"id": split.id, "admitted": split.admitted, "reason": NOT_NEEDED}
    cursor = await connection.execute(sql.CANCEL_LIVE, values)
    ended = [row[0] for row in await cursor.fetchall()]
    if ended:
        await connection.execute(sql.END_STEPS, {"ids": ended})
    cursor = await connection.execute(sql.STOP_RUNNING, {"id": split.id})
    return [row[0] for row in await cursor.fetchall()]


def changed(split: Split) -> ShardsChanged:
    """At most one a second: ten thousand shards do not send ten thousand events to every browser."""
    return ShardsChanged(
        run_id=str(split.run_id),
        step=split.step,
        total=split.total if split.total is not None else split.expanded,
        succeeded=split.succeeded,
        failed=split.failed,
        cancelled=split.cancelled,
    )
