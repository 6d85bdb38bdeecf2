"""PostgreSQL's NOTIFY as a hint: it arrives with the commit, and may be lost; a poll is behind it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from psycopg import AsyncConnection, Error, sql
from psycopg_pool import AsyncConnectionPool

log = logging.getLogger(__name__)

RECONNECT_AFTER = 2.0


async def listen(
    pool: AsyncConnectionPool[AsyncConnection[Any]], heard: Mapping[str, Callable[[str], None]]
) -> None:
    """Call ``heard[channel](payload)`` for each notification, until cancelled.

    It uses a connection of its own to the pool's database, so that it does not take one of the pool's. Each
    callback is called once with an empty payload after every (re)connection: something may have been missed.
    """
    while True:
        try:
            connection = await AsyncConnection.connect(await _address(pool.conninfo), autocommit=True)
        except Error as error:
            log.info("no hints from the database for now: %s", error)
            await asyncio.sleep(RECONNECT_AFTER)
            continue
        try:
            async with connection:
                for channel in heard:
                    await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                for callback in heard.values():
                    callback("")
                async for notification in connection.notifies():
                    heard[notification.channel](notification.payload)
        except Error as error:
            log.info("lost the hints from the database: %s", error)
        await asyncio.sleep(RECONNECT_AFTER)


async def _address(conninfo: str | Callable[[], str] | Callable[[], Awaitable[str]]) -> str:
    """A pool's address, which may be given as a function."""
    if isinstance(conninfo, str):
        return conninfo
    found = conninfo()
    return found if isinstance(found, str) else await found
