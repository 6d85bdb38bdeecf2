"""The record, its follower and the outbox on the real database."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from appliance.alerts.follower import AlertFollower
from appliance.audit.chain import AuditEntry
from appliance.audit.services import append_async
from appliance.lib.clock import ManualClock
from tests import database
from tests.database import address, emptied

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
EMPTIED = emptied("alerts_alert", "alerts_position", "alerts_rulesversion", "outbox_item", "events_event")
Pool = AsyncConnectionPool[AsyncConnection[Any]]


@dataclass
class Watch:
    """A follower, the time that it lives in, and what it has written."""

    pool: Pool
    clock: ManualClock
    follower: AlertFollower

    async def record(self, kind: str, *, times: int = 1, principal: str = "user:ana", **detail: Any) -> None:
        entries = [AuditEntry(kind, principal, "thing/1", detail, self.clock.now()) for _ in range(times)]
        async with self.pool.connection() as db:
            await append_async(db, entries)

    async def sql(self, query: str, *values: Any) -> list[dict[str, Any]]:
        async with self.pool.connection() as db:
            cursor = await db.cursor(row_factory=dict_row).execute(query, values)
            return await cursor.fetchall() if cursor.description else []

    async def texts(self) -> list[str]:
        rows = await self.sql("SELECT message ->> 'text' AS text FROM outbox_item ORDER BY seq")
        return [row["text"] for row in rows]

    def later(self, **amount: float) -> None:
        self.clock.advance(timedelta(**amount))


@pytest.fixture
async def pool(transactional_db: None) -> AsyncIterator[Pool]:
    found: Pool = AsyncConnectionPool(
        address(), min_size=1, max_size=4, kwargs={"autocommit": True}, open=False
    )
    await found.open()
    database.execute(EMPTIED)
    yield found
    database.execute(EMPTIED)
    await found.close()


@pytest.fixture
async def watch(pool: Pool) -> Watch:
    """A box that has been watching for a while: nothing of what is on record already makes an alert."""
    clock = ManualClock(NOW)
    follower = AlertFollower(pool, clock, lambda: None)
    await follower.follow()
    return Watch(pool, clock, follower)
