"""Partitions by day: made ahead of time, and dropped beyond the budget. Neither may stop the hot path."""

import logging
from collections import Counter
from collections.abc import Sequence
from datetime import date
from typing import Any, LiteralString

from psycopg import AsyncConnection, sql
from psycopg.errors import LockNotAvailable
from psycopg_pool import AsyncConnectionPool

from appliance.lib.config import Config
from appliance.lib.partitions import Key, create_day, day_of, days_from, partition_name

log = logging.getLogger(__name__)

Pool = AsyncConnectionPool[AsyncConnection[Any]]
AHEAD = 4
"""Days that have their partitions: what fails today may be tried for days."""

# Making or dropping a partition locks the whole table. While a dump holds it the wish waits, and every insert waits
# behind the wish.
_NOT_LONG: LiteralString = "SET LOCAL lock_timeout = '500ms'"
PARTITIONED: dict[str, Key] = {
    "tasks_occurrence": Key.UUID,
    "runs_run": Key.UUID,
    "runs_step": Key.UUID,
    "runs_checkpoint": Key.UUID,
    "runs_split": Key.UUID,
    "events_event": Key.TIME,
    "outbox_item": Key.UUID,
    "devices_reading": Key.TIME,
}
TOGETHER = (
    ("tasks_occurrence",),
    ("runs_run", "runs_step", "runs_checkpoint", "runs_split"),
    ("events_event",),
    ("outbox_item",),
    ("devices_reading",),
)
"""A day of these goes at once: a run without its steps would look as if it had not done anything."""

_PARTS = """
SELECT c.relname, pg_total_relation_size(c.oid) FROM pg_inherits i
JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = %s::regclass
"""
_UNFINISHED = "SELECT EXISTS (SELECT 1 FROM {} WHERE state = ANY(%s))"
_OPEN_STATES = {
    "runs_run": ["queued", "running", "waiting"],
    "outbox_item": ["pending", "sending", "held"],
}


class Days:
    """Every method is safe to call again. LockNotAvailable says that somebody holds a table: try later."""

    def __init__(self, pool: Pool, config: Config) -> None:
        self._pool = pool
        self._config = config

    async def prepare(self, today: date) -> None:
        """Today's and the next days' partitions. A day that has rows in DEFAULT stays there.

        Raises LockNotAvailable.
        """
        for day in days_from(today, AHEAD):
            for table, key in PARTITIONED.items():
                if not await self._exists(partition_name(table, day)):
                    await self._make(table, key, day)

    async def _exists(self, name: str) -> bool:
        async with self._pool.connection() as connection:
            row = await (await connection.execute("SELECT to_regclass(%s) IS NOT NULL", (name,))).fetchone()
        return row is not None and bool(row[0])

    async def _make(self, table: str, key: Key, day: date) -> None:
        try:
            async with self._pool.connection() as connection, connection.transaction():
                await connection.execute(_NOT_LONG)
                await connection.execute(create_day(table, key, day))
        except LockNotAvailable:
            raise
        except Exception as error:
            log.warning("partition of %s for %s: %s", table, day, error)

    async def drop_old(self, today: date) -> list[str]:
        """Drop whole days beyond the budget, in days and in bytes; never a day with an unfinished run.

        Gives their names. Raises LockNotAvailable, after the tables that nobody holds.
        """
        dropped: list[str] = []
        held: LockNotAvailable | None = None
        for tables in TOGETHER:
            try:
                for day in await self._too_old(tables, today):
                    dropped += await self._drop(tables, day)
            except LockNotAvailable as error:
                held = error
        if held is not None:
            raise held
        return dropped

    async def _drop(self, tables: Sequence[str], day: date) -> list[str]:
        names = [name for table in tables if await self._exists(name := partition_name(table, day))]
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute(_NOT_LONG)
            # Locked before it is looked at: a run that has ended can be taken back, and is open again. Tables before
            # their partitions, as every statement does it: DROP wants both, and would wait for who waits for us.
            parents = sql.SQL(", ").join(sql.SQL("ONLY {}").format(sql.Identifier(table)) for table in tables)
            await connection.execute(sql.SQL("LOCK TABLE {}, {}").format(parents, _listed(names)))
            if names[0] == partition_name(tables[0], day) and not await _finished(connection, tables[0], day):
                return []
            await connection.execute(sql.SQL("DROP TABLE {}").format(_listed(names)))
        log.info("retention: dropped %s", ", ".join(names))
        return names

    async def _too_old(self, tables: Sequence[str], today: date) -> list[date]:
        """The oldest days that together with the newer ones exceed the budget, and those beyond the days to keep."""
        budget = self._config.keep_bytes * len(tables) // len(PARTITIONED)
        sizes: Counter[date] = Counter()
        async with self._pool.connection() as connection:
            for table in tables:
                for name, size in await (await connection.execute(_PARTS, (table,))).fetchall():
                    if day := day_of(name):
                        sizes[day] += size
        total, out = 0, []
        for day in sorted(sizes, reverse=True):
            total += sizes[day]
            old = (today - day).days > self._config.keep_days
            if day < today and (old or total > budget):
                out.append(day)
        return out


def _listed(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


async def _finished(connection: AsyncConnection[Any], table: str, day: date) -> bool:
    """Whether nothing of that day is still to be done. What belongs to runs is kept as long as they are."""
    if table not in _OPEN_STATES:
        return True
    query = sql.SQL(_UNFINISHED).format(sql.Identifier(partition_name(table, day)))
    row = await (await connection.execute(query, (_OPEN_STATES[table],))).fetchone()
    return row is not None and not row[0]
