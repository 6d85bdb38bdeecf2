"""The statement of the group commit: one connection, one call, tried again while the database is away."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection, Rollback
from psycopg import Error as DatabaseError
from psycopg_pool import AsyncConnectionPool

from appliance.bus.batches import is_transient
from appliance.lib.backoff import delay
from appliance.lib.crashpoints import reach
from appliance.lib.errors import MillwrightError
from appliance.runs.reflex import sql
from appliance.runs.reflex.call import GroupCall
from appliance.runs.reflex.line import Known
from appliance.runs.reflex.unflushed import Unflushed
from appliance.safety.allstop import AllStop, of_row

log = logging.getLogger(__name__)

WriteRuns = Callable[[AsyncConnection[Any]], Awaitable[Sequence[UUID]]]
Parameters = dict[str, Any]

# The function joins a handful of rows to large tables by their keys. Its plans are kept for the life of the
# connection, and must not be the ones that suit the empty tables of a first start.
_PLANS = """
SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;
SET plan_cache_mode = force_generic_plan
"""


class Fenced(MillwrightError):
    """Another reactor has taken over; nothing of this one may be written any more (P4)."""

    code = "reflex.fenced"
    permanent = False


class _Behind(MillwrightError):
    """The database has lost commits that it had not flushed yet: it was ended by force."""

    code = "reflex.behind"
    permanent = False


class GroupWriter:
    """``unflushed`` is given where a commit does not wait for the disk; it keeps what the disk may not have yet."""

    def __init__(
        self, pool: AsyncConnectionPool[AsyncConnection[Any]], unflushed: Unflushed | None = None
    ) -> None:
        self._pool = pool
        self._unflushed = unflushed
        self._connection: AsyncConnection[Any] | None = None
        self._commit: GroupCall | None = None
        self._generation = 0
        self.number = 0
        """Of the last commit."""
        self.stop = AllStop()
        """The switch as the last commit saw it."""
        self.charged: list[dict[str, Any]] | None = None
        """What the last commit says of its charges."""
        self.lines = Known()
        """The lines before targets that are away: when the last commit began, and by what it wrote."""

    async def take_over(self) -> UUID:
        """Fence earlier reactors off; gives the identifier below which every occurrence has its run."""
        async with self._pool.connection() as connection, connection.transaction():
            cursor = await connection.execute(sql.BEGIN_GENERATION)
            row = await cursor.fetchone()
            assert row is not None
        self._generation, self.number, settled = row
        if self._unflushed is not None:
            self._unflushed.begin(self._generation, self.number)
        return UUID(str(settled))

    async def write(
        self, group: Parameters, settled: UUID, writes: Sequence[WriteRuns] = (), *, hurry: bool = False
    ) -> list[UUID]:
        """Commit a group, trying again while the database is away; gives the runs that ``writes`` made.

        ``hurry`` brings it to the disk at once, though it does not wait for that.

        Raises Fenced, and what no other try can mend.
        """
        parameters = {
            **group,
            "generation": self._generation,
            "commit": self.number + 1,
            "settled": settled,
        }
        reach("reflex.before_commit")
        run_ids = await self._insist(lambda connection: self._once(connection, parameters, writes))
        reach("reflex.after_commit")
        self.number += 1
        if self._unflushed is not None:
            self._unflushed.keep(self.number, None if writes else parameters, hurry=hurry)
        return run_ids

    async def mend(self) -> None:
        """Write again what the database has lost, if it has."""
        if self._unflushed is not None:
            await self._insist(self._repeat_lost)

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(DatabaseError):
                await connection.close()
            await self._pool.putconn(connection)

    async def _insist(self, work: Callable[[AsyncConnection[Any]], Awaitable[list[UUID]]]) -> list[UUID]:
        attempt = 0
        while True:
            try:
                return await work(await self._connected())
            except _Behind:
                await self._insist(self._repeat_lost)
            except Exception as error:
                if not is_transient(error) or isinstance(error, Fenced):
                    raise
                await self.close()
                attempt += 1
                log.warning("the database is away: %s", error)
                await asyncio.sleep(delay(attempt, base=0.05, cap=2.0))

    async def _once(
        self, connection: AsyncConnection[Any], parameters: Parameters, writes: Sequence[WriteRuns]
    ) -> list[UUID]:
        if not writes:
            await self._call(connection, parameters)
            return []
        run_ids: list[UUID] = []
        # The function comes last: it locks counters and the head of the audit record, which everybody else locks
        # last too.
        async with connection.transaction() as transaction:
            if self._unflushed is not None:
                await connection.execute(sql.WAIT_FOR_DISK)
            for write in writes:
                run_ids += await write(connection)
            if not await self._call(connection, parameters):
                raise Rollback(transaction)
            return run_ids
        return []

    async def _call(self, connection: AsyncConnection[Any], parameters: Parameters) -> bool:
        """Whether this commit is new; False when its first try had arrived after all."""
        assert self._commit is not None
        row = await self._commit(parameters)
        if row[0] == "fenced":
            await self._why_refused(connection, parameters["commit"])
        self.stop, self.charged = of_row(row[1:6]), row[6]
        self.lines = Known.of(row[7], parameters["lines"])
        return bool(row[0] == "done")

    async def _why_refused(self, connection: AsyncConnection[Any], number: int) -> None:
        """Raises Fenced, or _Behind where commits before this one are missing and are still in our hands."""
        cursor = await connection.execute(sql.REACHED)
        row = await cursor.fetchone()
        assert row is not None
        generation, reached = row
        known = self._unflushed is not None and self._unflushed.holds_after(reached)
        if generation == self._generation and reached < number - 1 and known:
            raise _Behind(f"the database has lost the commits {reached + 1} to {number - 1}")
        raise Fenced("another reactor has taken the reflex lane over")

    async def _repeat_lost(self, connection: AsyncConnection[Any]) -> list[UUID]:
        assert self._unflushed is not None
        cursor = await connection.execute(sql.REACHED)
        row = await cursor.fetchone()
        assert row is not None
        generation, reached = row
        if generation != self._generation or not self._unflushed.holds_after(reached):
            raise Fenced("the reflex lane was taken over, or its commits are gone from the disk")
        for parameters in self._unflushed.after(reached):
            log.warning("commit %d is written again: the database had lost it", parameters["commit"])
            await self._call(connection, parameters)
        return []

    async def _connected(self) -> AsyncConnection[Any]:
        if self._connection is None:
            connection = await self._pool.getconn()
            try:
                await connection.execute(_PLANS)
                if self._unflushed is not None:
                    await connection.execute(sql.DO_NOT_WAIT_FOR_DISK)
                self._commit = await GroupCall.prepared(connection)
            except BaseException:
                # Its settings are ours: nobody else may commit with them.
                with contextlib.suppress(DatabaseError):
                    await connection.close()
                await self._pool.putconn(connection)
                raise
            self._connection = connection
        return self._connection
