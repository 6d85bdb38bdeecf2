"""Looks after splits where no executor is at it: ends on the side, what is left of a decided split, runs that ended.

Each function is safe to run anywhere, any time, twice.
"""

from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from appliance.runs.domain import ShardOf
from appliance.runs.shards import counting, sql
from appliance.runs.shards.split import Split, shard_id

SWEEP = 2000
"""Shards cancelled in one transaction."""
SWEEPS = 10
"""Transactions of one look: what is left then waits for the next."""

Connection = AsyncConnection[Any]


class ShardKeeper:
    """Called twice a second by the reactor."""

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[Any]]) -> None:
        self._pool = pool

    async def look(self) -> list[UUID]:
        """Do all that is due; gives the runs that an executor should look at."""
        await self.close_abandoned()
        return [*await self.count_missed(), *await self.end_decided()]

    async def close_abandoned(self) -> int:
        """A split whose run has ended, or whose step does not wait any more, gets no further."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(sql.ABANDONED)
            found = await cursor.fetchall()
        for split, run in found:
            async with self._pool.connection() as connection, connection.transaction():
                await counting.lock(connection, run)
                await connection.execute(sql.CLOSE, {"id": split})
        return len(found)

    async def count_missed(self) -> list[UUID]:
        """Count shards that ended where nobody counts: cancelled by a person, parked, delivered."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(sql.UNCOUNTED)
            found = await cursor.fetchall()
        queued: list[UUID] = []
        for split, run in dict.fromkeys((row[1], row[2]) for row in found):
            ids = [row[0] for row in found if row[1] == split]
            async with self._pool.connection() as connection, connection.transaction():
                queued += (await counting.count(connection, ShardOf(split, run), ids))[1]
        return queued

    async def end_decided(self) -> list[UUID]:
        """Cancel what is left of every decided split, piece by piece; its run wakes when all has ended."""
        async with self._pool.connection() as connection:
            cursor = connection.cursor(row_factory=dict_row)
            await cursor.execute(sql.DECIDED)
            found = [Split.of(row) for row in await cursor.fetchall()]
        concerned: list[UUID] = []
        for split in found:
            for _ in range(SWEEPS):
                more, ids = await self._end_piece(split)
                concerned += ids
                if not more:
                    break
        return concerned

    async def _end_piece(self, split: Split) -> tuple[bool, list[UUID]]:
        async with self._pool.connection() as connection, connection.transaction():
            await counting.lock(connection, split.run_id)
            await connection.execute(sql.CLOSE_EXPANSION, {"id": split.id})
            now = await _again(connection, split)
            concerned = await counting.end_live(connection, now)
            total = now.total or 0
            held = range(now.admitted, min(total, now.admitted + SWEEP))
            ids = [shard_id(split.id, shard) for shard in held]
            swept = 0
            if ids:
                values = {"ids": ids, "reason": counting.NOT_NEEDED}
                # Fewer than there are ids where some are done: another run did them, and this one took them over.
                swept = (await connection.execute(sql.CANCEL_HELD, values)).rowcount
            now, queued = await counting.count(connection, now.shard_of, swept=swept, passed=len(ids))
            concerned += queued
        return now.admitted < total, concerned


async def _again(connection: Connection, split: Split) -> Split:
    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute(sql.GET, {"id": split.id})
    row = await cursor.fetchone()
    assert row is not None, "a split is not deleted"
    return Split.of(row)


async def mend(connection: Connection) -> list[tuple[UUID, str]]:
    """A run that waits for its shards has live or admissible ones, or its split is joined.

    Gives the runs for which that was not so, each with what was done, in the caller's transaction.
    """
    done: list[tuple[UUID, str]] = []
    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute(sql.IDLE)
    for split in [Split.of(row) for row in await cursor.fetchall()]:
        await counting.lock(connection, split.run_id)
        now = await _again(connection, split)
        counted = await (
            await connection.execute(sql.RECOUNT, {"id": now.id, "admitted": now.admitted})
        ).fetchone()
        assert counted is not None, "an aggregate has a row"
        values = dict(zip(("succeeded", "failed", "cancelled"), counted, strict=True))
        before = (now.succeeded, now.failed, now.cancelled)
        await connection.execute(sql.SET_COUNTS, {**values, "id": now.id})
        await connection.execute(sql.MARK_COUNTED, {"id": now.id, "admitted": now.admitted})
        now, queued = await counting.count(connection, now.shard_of)
        if queued or before != tuple(counted):
            done.append((split.run_id, f"counted again, {len(queued)} queued"))
    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute(sql.OVERSLEPT)
    for row in await cursor.fetchall():
        woken = await connection.execute(sql.WAKE, {"run_id": row["id"]})
        if await woken.fetchone():
            done.append((row["id"], "queued"))
    return done
