"""Whoever is next is told when nobody has answered: each stage is one commit, its row's change and its messages.

A process that dies before the commit leaves the stage due; one that dies after it finds the stage passed. Each stage
counts from the time at which it was told, whatever became of its messages: a chain never stops at somebody who cannot
be reached.
"""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

from appliance.audit.services import append_async
from appliance.bridges.receivers import chats_reached
from appliance.escalations import sql
from appliance.escalations.notices import stage_message
from appliance.escalations.telling import on_record, told_of
from appliance.events import EscalationExhausted, EscalationTold
from appliance.events.services import record_async
from appliance.lib.away import DATABASE_AWAY
from appliance.lib.clock import Clock
from appliance.outbox.ports import OutboxItem
from appliance.outbox.services import enqueue

log = logging.getLogger(__name__)

AT_ONCE = 50
BOX = "box"


class Escalator:
    """``poke`` wakes whoever shows what has changed."""

    EVERY = 1.0

    def __init__(
        self, pool: AsyncConnectionPool[AsyncConnection[Any]], clock: Clock, poke: Callable[[], None]
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._poke = poke

    async def tick(self) -> None:
        """Bring everything forward that is due. Two that do so at once do it once."""
        now = self._clock.now()
        async with self._pool.connection() as connection:
            await connection.execute(sql.NOT_LONGER, {"now": now})
            found = await connection.execute(sql.DUE, {"now": now, "limit": AT_ONCE})
            due = [(row[0], row[1]) for row in await found.fetchall()]
        moved = [await self._moved(identifier, stage, now) for identifier, stage in due]
        if any(moved):
            self._poke()

    async def _moved(self, identifier: UUID, stage: int, now: datetime) -> bool:
        """One that cannot be told keeps no other from it."""
        try:
            return await self._move(identifier, stage, now)
        except DATABASE_AWAY:
            raise
        except Exception:
            log.exception("the escalation %s cannot go on; the next look tries anew", identifier)
            return False

    async def _move(self, identifier: UUID, stage: int, now: datetime) -> bool:
        values = {"id": identifier, "stage": stage, "now": now}
        async with self._pool.connection() as connection, connection.transaction():
            cursor = connection.cursor(row_factory=dict_row)
            row = await (await cursor.execute(sql.ADVANCE, values)).fetchone()
            if row is not None:
                await self._tell(connection, row, now)
                return True
            row = await (await cursor.execute(sql.EXHAUST, values)).fetchone()
            if row is not None:
                log.warning("nobody has acknowledged %s: %s", row["code"], row["title"])
                await record_async(connection, EscalationExhausted(**told_of(row)))
                await append_async(connection, [on_record("exhausted", BOX, row)])
            return row is not None

    async def _tell(self, connection: AsyncConnection[Any], row: Mapping[str, Any], now: datetime) -> None:
        items = [
            OutboxItem(
                key=f"escalation/{row['id']}/{row['stage']}/{platform}/{conversation}",
                platform=platform,
                conversation=conversation or None,
                message=stage_message(row, language),
                at=now,
                priority=row["priority"],
            )
            for platform, conversation, language in await chats_reached(connection, row["receivers"])
        ]
        for item in items:
            await enqueue(connection, item)
        messages = Jsonb([str(item.id) for item in items])
        await connection.execute(sql.ADD_MESSAGES, {"id": row["id"], "messages": messages})
        await record_async(connection, EscalationTold(**told_of(row)))
        told: Any = {"to": list(row["receivers"]), "messages": len(items)}
        await append_async(connection, [on_record("told", BOX, row, **told)])
