"""Rows of days that had no partition in time: they stand in DEFAULT, where dropping a day does not reach them.

Missed times of a long absence stand there, and what came on a day before its partition could be made.
"""

import logging
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, LiteralString

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from appliance.lib.identity import uuid_floor

log = logging.getLogger(__name__)

AT_ONCE = 2000
"""Rows of one short transaction."""

_ENDED: LiteralString = "state NOT IN ('queued', 'running', 'waiting')"
_WITHOUT_RUN: LiteralString = "NOT EXISTS (SELECT 1 FROM runs_run r WHERE r.id = stray.run_id)"

# A run goes before what belongs to it: without its steps it would look as if it had not done anything.
_OLD: tuple[tuple[LiteralString, LiteralString], ...] = (
    ("tasks_occurrence", "id < %(floor)s"),
    ("runs_run", "id < %(floor)s AND " + _ENDED),
    ("runs_step", "run_id < %(floor)s AND " + _WITHOUT_RUN),
    ("runs_checkpoint", "run_id < %(floor)s AND " + _WITHOUT_RUN),
    ("runs_split", "run_id < %(floor)s AND " + _WITHOUT_RUN),
    ("events_event", "at < %(at)s"),
    ("outbox_item", "id < %(floor)s AND state NOT IN ('pending', 'sending', 'held')"),
    ("devices_reading", "at < %(at)s"),
)


async def delete_strays(pool: AsyncConnectionPool[AsyncConnection[Any]], today: date, keep_days: int) -> int:
    """Delete what is older than the days to keep and has ended, some rows at a time; gives how many there were."""
    at = datetime.combine(today - timedelta(days=keep_days), time(), UTC)
    values = {"floor": uuid_floor(at), "at": at, "most": AT_ONCE}
    gone = 0
    for table, old in _OLD:
        statement: LiteralString = (
            "DELETE FROM " + table + "_default WHERE ctid = ANY(ARRAY("
            "SELECT ctid FROM " + table + "_default AS stray WHERE " + old + " LIMIT %(most)s))"
        )
        count = AT_ONCE
        while count == AT_ONCE:
            async with pool.connection() as connection:
                count = (await connection.execute(statement, values)).rowcount
            gone += count
    if gone:
        log.info("retention: deleted %d rows of days without a partition", gone)
    return gone
