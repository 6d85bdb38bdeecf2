"""Statements of many runs in one commit: those that come while one is under way share the next.

Every intent locks the head of the audit record until its commit is on the disk, so runs that come one by one queue
behind each other there. A run that comes alone waits for nobody.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg import Error as DatabaseError
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool

from appliance.bus.batches import is_transient
from appliance.runs.lending import lent

Row = tuple[Any, ...]
MOST = 32
"""Statements of one commit."""
PATIENCE = 0.05
"""Seconds that others wait for the commit of one statement alone."""
ROLLED_BACK = "40"
"""The class of SQLSTATE that says so: a deadlock."""
LOCK = "SELECT id FROM runs_run WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED"


@dataclass(slots=True, eq=False)
class _Statement:
    """One of a run; ``values`` has ``relaxed``, whether its commit need not wait for the disk."""

    run_id: UUID
    query: str
    values: dict[str, Any]
    answer: "asyncio.Future[Row | None]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Together:
    """``run`` gives the row of a statement that writes under the lease of one run, once it is committed."""

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[Any]]) -> None:
        self._pool = pool
        self._waiting: list[_Statement] = []
        self._working: asyncio.Task[None] | None = None
        self._apart: set[asyncio.Task[None]] = set()

    async def run(
        self, run_id: UUID, query: str, values: dict[str, Any], *, apart: bool = False
    ) -> Row | None:
        """``apart``: it locks more than its run and the head of the audit record, so nothing may follow it."""
        statement = _Statement(run_id, query, values)
        if apart:
            await self._alone(statement)
            return await statement.answer
        self._waiting.append(statement)
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        return await statement.answer

    async def _work(self) -> None:
        while self._waiting:
            batch = [one for one in self._waiting[:MOST] if not one.answer.done()]
            del self._waiting[:MOST]
            if len(batch) == 1:
                # Somebody may hold its run locked for long: that is not the others' business.
                await asyncio.wait(self._each_apart(batch), timeout=PATIENCE)
            elif batch:
                await self._group(batch)

    async def _alone(self, statement: _Statement) -> None:
        try:
            async with lent(self._pool) as connection:
                # Whoever asked may have left while we waited for a connection, and its run may be another's by now,
                # under the same lease where the database lost the claim.
                if statement.answer.done():
                    return
                row = await _row(connection, statement.query, statement.values)
        except BaseException as error:
            _fail([statement], error)
        else:
            _succeed(statement, row)

    async def _group(self, batch: Sequence[_Statement]) -> None:
        """Commit all whose run nobody else holds; the others wait for their own, each by itself."""
        try:
            rows = await self._commit(batch)
        except DatabaseError as error:
            if is_transient(error) and not (error.sqlstate or "").startswith(ROLLED_BACK):
                _fail(batch, error)  # whether it was committed is not known
            else:
                # One of them is at fault; nothing was written.
                self._each_apart(batch)
        except BaseException as error:
            _fail(batch, error)
        else:
            self._each_apart([one for one in batch if one not in rows])
            for one, row in rows.items():
                _succeed(one, row)

    async def _commit(self, batch: Sequence[_Statement]) -> dict[_Statement, Row | None]:
        relaxed = all(one.values["relaxed"] for one in batch)
        async with lent(self._pool) as connection:
            sent = []
            async with connection.pipeline(), connection.transaction():
                # All runs before the head of the audit record, which everybody else locks last too.
                cursor = await connection.execute(LOCK, ([one.run_id for one in batch],))
                free = {row[0] for row in await cursor.fetchall()}
                for one in batch:
                    if one.run_id in free and not one.answer.done():
                        values = {**one.values, "relaxed": relaxed}
                        sent.append((one, await _sent(connection, one.query, values)))
            return {one: await cursor.fetchone() for one, cursor in sent}

    def _each_apart(self, batch: Sequence[_Statement]) -> list["asyncio.Task[None]"]:
        tasks = [asyncio.create_task(self._alone(one)) for one in batch]
        for task in tasks:
            self._apart.add(task)
            task.add_done_callback(self._apart.discard)
        return tasks


async def _sent(connection: AsyncConnection[Any], query: str, values: dict[str, Any]) -> Any:
    return await connection.cursor(row_factory=tuple_row).execute(query, values)


async def _row(connection: AsyncConnection[Any], query: str, values: dict[str, Any]) -> Row | None:
    row: Row | None = await (await _sent(connection, query, values)).fetchone()
    return row


def _succeed(statement: _Statement, row: Row | None) -> None:
    if not statement.answer.done():
        statement.answer.set_result(row)


def _fail(batch: Sequence[_Statement], error: BaseException) -> None:
    for one in batch:
        if not one.answer.done():
            one.answer.set_exception(error)
    if not isinstance(error, Exception):
        raise error
