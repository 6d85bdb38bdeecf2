"""The durable inbox: an event is committed, with the position after it, before anything else is done."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connection as django_connection
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from appliance.bridges import sql
from appliance.bridges.hints import INBOUND, hint
from appliance.bridges.messages import RawEvent
from appliance.lib.clock import Clock
from appliance.lib.digest import canonical_json
from appliance.lib.plain import plain_object, plain_text

CURSOR_KEPT = timedelta(days=6)
"""After a week without updates Telegram may number them anew; an older position is not used again."""


class BridgeInbox:
    """The inbox of one bridge (ports.Inbox)."""

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection[Any]],
        clock: Clock,
        name: str,
        on_new: Callable[[], None],
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._name = name
        self._on_new = on_new

    async def receive(self, events: Sequence[RawEvent], cursor: str | None = None) -> int:
        now, new = self._clock.now(), 0
        async with self._pool.connection() as connection, connection.transaction():
            if events:
                written = await connection.execute(sql.RECEIVE, _rows(self._name, events, now))
                new = written.rowcount
            if cursor is not None:
                await connection.execute(sql.SAVE_CURSOR, {"name": self._name, "cursor": cursor, "now": now})
        if new:
            self._on_new()
        return new

    async def cursor(self) -> str | None:
        async with self._pool.connection() as connection:
            found = await connection.execute(sql.CURSOR, {"name": self._name})
            row = await found.fetchone()
        if row is None or not row[0] or row[1] is None or self._clock.now() - row[1] > CURSOR_KEPT:
            return None
        return str(row[0])


def receive_now(bridge: str, events: Sequence[RawEvent], now: datetime) -> None:
    """The same in the current transaction of Django's connection; the reactor is told at its commit."""
    with django_connection.cursor() as cursor:
        cursor.execute(sql.RECEIVE, _rows(bridge, events, now))
    hint(INBOUND)


def _rows(bridge: str, events: Sequence[RawEvent], now: datetime) -> dict[str, Any]:
    return {
        "bridge": bridge,
        "ids": [plain_text(event.event_id)[:200] for event in events],
        "payloads": [canonical_json(plain_object(event.payload)).decode() for event in events],
        "now": now,
    }
