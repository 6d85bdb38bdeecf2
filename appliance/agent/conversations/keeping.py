"""Keeping what an agent's run came to in the conversation where it was asked, from the steps of that run."""

from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import tuple_row
from psycopg.types.json import Jsonb

from appliance.agent.conversations import sql
from appliance.agent.conversations.before import Asked, asked_in
from appliance.agent.conversations.domain import Speaker, cut
from appliance.agent.conversations.facts import kept_facts
from appliance.events import ConversationSaid
from appliance.events.services import record_async
from appliance.lib.jsontypes import JsonMapping, JsonObject

LONGEST_ANSWER = 40_000
LONGEST_TOLD = 2_000
"""Characters of a message that its event has."""


async def keep_answer(
    connection: AsyncConnection[Any], asked: Asked, author: str, text: str, detail: JsonMapping, now: datetime
) -> None:
    """Once for each run; ``detail`` is that of the step which answers."""
    kept: JsonObject = {"facts": kept_facts(detail), "amber": detail.get("unconfirmed") is True}
    await _keep(connection, asked, Speaker.AGENT, author, cut(text, LONGEST_ANSWER), kept, now)


async def keep_failure(
    connection: AsyncConnection[Any], run_id: UUID, author: str, text: str, now: datetime
) -> None:
    """That the run came to nothing, in the box's words; nothing where it was not asked in a conversation."""
    asked = await asked_in(connection, run_id)
    if asked is not None:
        await _keep(connection, asked, Speaker.BOX, author, cut(text), {}, now)


async def _keep(
    connection: AsyncConnection[Any],
    asked: Asked,
    speaker: Speaker,
    author: str,
    text: str,
    detail: JsonMapping,
    now: datetime,
) -> None:
    values = {
        "conversation_id": asked.conversation_id,
        "speaker": speaker.value,
        "author": author[:150],
        "text": text,
        "platform": asked.platform,
        "place": asked.place,
        "run_id": asked.root,
        "key": "",
        "detail": Jsonb(dict(detail)),
        "at": now,
    }
    async with connection.transaction():
        row = await (await connection.cursor(row_factory=tuple_row).execute(sql.KEEP, values)).fetchone()
        if row is None:
            return
        await connection.execute(sql.TOUCH, {"conversation_id": asked.conversation_id, "at": now})
        await record_async(
            connection,
            ConversationSaid(
                conversation_id=asked.conversation_id,
                message_id=row[0],
                speaker=speaker.value,
                author=author,
                text=text[:LONGEST_TOLD],
                run_id=str(asked.root),
                people=list(asked.people),
            ),
        )
