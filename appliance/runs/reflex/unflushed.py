"""Commits that PostgreSQL has and the disk may not have yet, in the crash-safe mode.

There a run acts when its intent is committed, without waiting for the disk. What PostgreSQL may still lose (one of its
processes is killed, and it starts anew from the disk) is kept here, and written again if it is lost. A message
is acknowledged only when its occurrence has reached the disk, so that nothing is lost either where the reactor is
killed together with PostgreSQL: then the broker sends it again.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from psycopg import AsyncConnection
from psycopg import Error as DatabaseError
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from appliance.runs.reflex import sql

log = logging.getLogger(__name__)

GATHER = 0.008
"""Seconds from a commit to the flush that takes it and what is committed meanwhile. Nobody waits for a flush but the
broker, for its acknowledgement; right after the commit of an intent it would only be in the way of the effect."""
AGAIN_AFTER = 0.2


class Unflushed:
    """Numbers are those of the commits. ``on_lost`` is called when the database has lost some of them."""

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[Any]]) -> None:
        self._pool = pool
        self.on_lost: Callable[[], None] = lambda: None
        self._kept: deque[tuple[int, dict[str, Any]]] = deque()
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()
        self._generation = self._latest = self._durable = 0
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()

    def begin(self, generation: int, number: int) -> None:
        """A generation begins: all up to ``number`` is on the disk."""
        self._generation = generation
        self._latest = self._durable = number
        self._kept.clear()

    def keep(self, number: int, parameters: dict[str, Any] | None, *, hurry: bool = False) -> None:
        """Commit ``number`` stands; None where it has waited for the disk, and all before it has with it.

        ``hurry`` where the message is to be acknowledged soon: a step may be one that must not be done twice.
        """
        self._latest = number
        if parameters is None:
            self._reached(number)
        else:
            self._kept.append((number, parameters))
            self._wake.set()
            if hurry:
                self._hurry.set()

    def once_durable(self, call: Callable[[], None]) -> None:
        """Call when everything that is committed now is on the disk."""
        if self._durable >= self._latest:
            call()
        else:
            self._waiting.append((self._latest, call))

    def holds_after(self, number: int) -> bool:
        """Whether every commit after ``number`` is kept here."""
        first = self._kept[0][0] if self._kept else self._latest + 1
        return first <= number + 1

    def after(self, number: int) -> Iterable[dict[str, Any]]:
        return [parameters for kept, parameters in self._kept if kept > number]

    def _reached(self, number: int) -> None:
        self._durable = max(self._durable, number)
        while self._kept and self._kept[0][0] <= number:
            self._kept.popleft()
        while self._waiting and self._waiting[0][0] <= number:
            _, call = self._waiting.popleft()
            try:
                call()
            except Exception:
                log.exception("what waited for the disk failed; the others go on")

    async def run(self) -> None:
        """Flush for ever, together what comes close upon another."""
        while True:
            await self._wake.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GATHER):
                    await self._hurry.wait()
            self._wake.clear()
            self._hurry.clear()
            if self._durable < self._latest and not await self._flush():
                await asyncio.sleep(AGAIN_AFTER)
            if self._durable < self._latest:
                self._wake.set()

    async def _flush(self) -> bool:
        upto = self._latest
        try:
            async with self._pool.connection() as connection:
                row = await (await connection.execute(sql.FLUSH)).fetchone()
        except (DatabaseError, PoolTimeout, OSError) as error:
            log.warning("waiting for the database: %s", error)
            return False
        except Exception:
            log.exception("a flush goes on after an error")
            return False
        assert row is not None
        # Of another generation the number says nothing of ours; whoever writes next is told that it is fenced off.
        if row[0] != self._generation or row[1] < upto:
            self.on_lost()
            return False
        self._reached(upto)
        return True
