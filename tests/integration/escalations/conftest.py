"""Escalations, their escalator and the outbox on the real database."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from appliance.escalations.domain import NewEscalation, Stage, chain
from appliance.escalations.escalating import Escalator
from appliance.escalations.notices import asking
from appliance.escalations.opening import open_one
from appliance.lib.clock import ManualClock
from appliance.outbox.ports import OutboxItem
from appliance.outbox.services import enqueue
from tests import database
from tests.database import address, emptied

EMPTIED = emptied("escalations_escalation", "outbox_item", "events_event")
STAGES = chain([Stage(600, ("telegram/2",)), Stage(300, ("slack/C3", "telegram/4"))], 120)
Pool = AsyncConnectionPool[AsyncConnection[Any]]


@dataclass
class Shift:
    """An escalator, the time that it lives in, and what it has written."""

    pool: Pool
    clock: ManualClock
    escalator: Escalator = field(init=False)
    pokes: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.escalator = self.another()

    def another(self) -> Escalator:
        return Escalator(self.pool, self.clock, lambda: self.pokes.append(True))

    async def open(self, text: str = "pump 7 is hot\nat 91 C", **more: Any) -> NewEscalation:
        """Opened as a notification does it, its first message to ``telegram/1``."""
        new = NewEscalation(
            **{
                "key": f"test/{text}",
                "about": "task/guard/tell",
                "text": text,
                "stages": STAGES,
                "opened_at": self.clock.now(),
                "priority": 15,
                "task": "guard",
                **more,
            }
        )
        item = OutboxItem(
            key=f"first/{text}",
            platform="telegram",
            conversation="1",
            message=asking({"text": text}, new.code),
            at=self.clock.now(),
        )
        new = NewEscalation(**{**{n: getattr(new, n) for n in new.__slots__}, "messages": (item.id,)})
        async with self.pool.connection() as db, db.transaction():
            await enqueue(db, item)
            await open_one(db, new)
        return new

    async def later(self, **amount: float) -> None:
        self.clock.advance(timedelta(**amount))
        await self.escalator.tick()

    async def sql(self, query: str, *values: Any) -> list[dict[str, Any]]:
        async with self.pool.connection() as db:
            cursor = await db.cursor(row_factory=dict_row).execute(query, values)
            return await cursor.fetchall() if cursor.description else []

    async def told(self) -> list[str]:
        """To whom messages went, in order, without the web admin's own feed."""
        rows = await self.sql(
            "SELECT platform || '/' || conversation AS to FROM outbox_item WHERE platform <> 'webchat' ORDER BY seq"
        )
        return [row["to"] for row in rows]

    async def row(self) -> dict[str, Any]:
        (row,) = await self.sql("SELECT * FROM escalations_escalation")
        return row

    async def events(self) -> list[str]:
        return [r["type"] for r in await self.sql("SELECT type FROM events_event ORDER BY xact, seq")]

    async def delivered(self, *, but: str = "") -> None:
        """All that waits arrives, as the sender leaves it; ``but`` a conversation."""
        await self.sql(
            "UPDATE outbox_item SET state = 'delivered', attempts = 1, receipt = jsonb_build_object("
            "'message_ids', jsonb_build_array('m' || seq), 'conversation', coalesce(conversation, 'feed'))"
            " WHERE state = 'pending' AND coalesce(conversation, '') <> %s",
            but,
        )


@pytest.fixture
async def shift(transactional_db: None) -> AsyncIterator[Shift]:
    pool: Pool = AsyncConnectionPool(
        address(), min_size=1, max_size=4, kwargs={"autocommit": True}, open=False
    )
    await pool.open()
    database.execute(EMPTIED)
    yield Shift(pool, ManualClock(datetime.now(UTC)))
    database.execute(EMPTIED)
    await pool.close()
    await sync_to_async(connections.close_all)()
