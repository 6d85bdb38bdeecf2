"""Keeping what an agent's run came to in the conversation where it was asked, from the steps of that run."""

from collections.abc import Sequence
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
from appliance.agent.conversations.telling import Answer, Place, item_of
from appliance.events import ConversationSaid
from appliance.events.services import record_async
from appliance.lib.jsontypes import JsonMapping, JsonObject
from appliance.outbox.services import enqueue

LONGEST_ANSWER = 40_000
QUESTION = "question"
"""In the detail of an answer: the number of the message that it answers."""
LONGEST_TOLD = 2_000
"""Characters of a message that its event has."""


async def keep_answer(connection: AsyncConnection[Any], asked: Asked, answer: Answer) -> None:
    """Once for each agent's run, and told where it was asked with the same commit."""
    detail = answer.detail
    kept: JsonObject = {"facts": kept_facts(detail), "amber": detail.get("unconfirmed") is True}
    text, key = cut(answer.text, LONGEST_ANSWER), f"answer/{answer.run_id}"
    if await _keep(connection, asked, Speaker.AGENT, answer.task, text, kept, answer.at, key):
        place = Place(asked.platform, asked.place, asked.language)
        await enqueue(connection, item_of(answer, place, asked.root))


async def keep_failure(
    connection: AsyncConnection[Any], run_id: UUID, author: str, text: str, now: datetime
) -> None:
    """That the run came to nothing, in the box's words; nothing where it was not asked in a conversation."""
    asked = await asked_in(connection, run_id)
    if asked is not None:
        await _keep(connection, asked, Speaker.BOX, author, cut(text), {}, now, f"ended/{run_id}")


async def end_of(connection: AsyncConnection[Any], run_ids: Sequence[UUID]) -> None:
    """These runs have ended: their questions are looked at no more by who asks what is under way."""
    await connection.execute(sql.OVER, {"run_ids": list(run_ids)})


async def keep_denials(
    connection: AsyncConnection[Any], asked: Asked, calls: Sequence[str], now: datetime
) -> None:
    """What people said no to, in words: told in every later turn of the conversation."""
    if calls:
        values = {
            "conversation_id": asked.conversation_id,
            "run_id": asked.root,
            "calls": list(calls),
            "at": now,
        }
        await connection.execute(sql.DENY, values)


async def _keep(
    connection: AsyncConnection[Any],
    asked: Asked,
    speaker: Speaker,
    author: str,
    text: str,
    detail: JsonMapping,
    now: datetime,
    key: str,
) -> bool:
    """Whether it was not there yet."""
    values = {
        "conversation_id": asked.conversation_id,
        "speaker": speaker.value,
        "author": author[:150],
        "text": text,
        "platform": asked.platform,
        "place": asked.place,
        "run_id": asked.root,
        "key": key,
        "detail": Jsonb({**detail, QUESTION: asked.message_id}),
        "at": now,
    }
    async with connection.transaction():
        row = await (await connection.cursor(row_factory=tuple_row).execute(sql.KEEP, values)).fetchone()
        if row is None:
            return False
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
    return True
