"""Messages that no try could handle: kept with the reason, for a person, before the broker is told."""

from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from appliance.audit.services import AuditEntry, append_async
from appliance.bus import sql
from appliance.bus.ports import Message
from appliance.lib.jsontypes import JsonObject
from appliance.lib.plain import plain_text

MOST_MESSAGES = 10_000
MOST_BYTES = 64 * 1024 * 1024
"""The newest are kept up to these; their traces in the audit record stay."""
_LONGEST_REASON = 2000


class Aside:
    """A `PoisonHandler`. What it raises leaves the message unacknowledged."""

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[Any]]) -> None:
        self._pool = pool

    async def keep(self, message: Message, error: Exception) -> None:
        """Commit the message as a row, and a trace of it in the audit record."""
        topic, reason = plain_text(message.topic), plain_text(repr(error))[:_LONGEST_REASON]
        row = {
            "broker": message.broker,
            "topic": topic,
            "payload": message.payload,
            "size": len(message.payload),
            "reason": reason,
            "at": message.received_at,
        }
        detail: JsonObject = {"broker": message.broker, "bytes": len(message.payload), "reason": reason[:500]}
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute(sql.SET_ASIDE, row)
            await connection.execute(sql.TRIM_ASIDE, {"most": MOST_MESSAGES, "bytes": MOST_BYTES})
            await append_async(connection, [AuditEntry("bus.set_aside", "box", topic[:500], detail)])


async def forget(connection: AsyncConnection[Any], before: datetime) -> None:
    """Delete what came before then."""
    await connection.execute(sql.FORGET_ASIDE, (before,))
