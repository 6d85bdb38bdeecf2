"""Connections of a pool whose statements go out in pipelines."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool


@asynccontextmanager
async def lent(pool: AsyncConnectionPool[AsyncConnection[Any]]) -> AsyncIterator[AsyncConnection[Any]]:
    """A connection of the pool, given up where its use is cut off.

    Cancelled between statements and results psycopg leaves the pipeline open: the next user of this connection
    would be given answers that are not theirs. The pool makes a new one.
    """
    async with pool.connection() as connection:
        try:
            yield connection
        except asyncio.CancelledError:
            await connection.close()
            raise
