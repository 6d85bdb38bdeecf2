"""An agent's answer as a message to where it was asked: one for each agent's run, whoever puts it there."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils.translation import gettext, override
from psycopg import AsyncConnection
from psycopg.rows import dict_row

from appliance.agent.conversations import sql
from appliance.agent.explaining.changed import changed_in
from appliance.agent.loop.doubting import answer_said
from appliance.lib.identity import time_of
from appliance.lib.jsontypes import JsonMapping, JsonObject
from appliance.outbox.ports import OutboxItem
from appliance.runs.naming import SHORT

PRIORITY = 5
LONGEST_ANSWER = 3000
"""Characters of an answer that is a message; a longer one is a file where the platform takes it as no message."""
ANSWER_FILE = "answer.txt"


@dataclass(frozen=True, slots=True)
class Place:
    platform: str
    conversation: str
    language: str


@dataclass(frozen=True, slots=True)
class Answer:
    """``run_id``: the run whose steps are the agent's. ``task``: whose step that agent is."""

    run_id: UUID
    task: str
    text: str
    at: datetime
    detail: JsonMapping
    """Of the step that answered: what the box has read back of it."""


async def answers_in(connection: AsyncConnection[Any], run_id: UUID, task: str) -> list[tuple[Answer, bool]]:
    """What agents in this run have answered to a conversation, oldest first; whether it was told as it was kept."""
    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute(sql.ANSWERS_IN, {"run_id": run_id})
    return [
        (Answer(row["run_id"], task, row["text"], row["at"], row["detail"] or {}), row["kept"])
        for row in await cursor.fetchall()
        if isinstance(row["text"], str)
    ]


def item_of(answer: Answer, place: Place, root: UUID) -> OutboxItem:
    """``root``: the run that people see.

    The item's time is the run's, so that it is the same item whenever, and by whomever, it is told.
    """
    return OutboxItem(
        key=f"chat-answer/{answer.run_id}",
        platform=place.platform,
        conversation=place.conversation,
        message=_message(answer, place.language, root),
        at=time_of(answer.run_id),
        priority=PRIORITY,
    )


def _message(answer: Answer, language: str, root: UUID) -> JsonObject:
    """The box's own word of what was changed is the last line, whatever the answer says of itself."""
    text = answer.text.strip()
    with override(language):
        changed, text = changed_in(answer.detail), answer_said(text)
        if not text:
            text = gettext("%(task)s gave an empty answer: run %(run)s.") % _names(answer, root)
        if len(text) <= LONGEST_ANSWER:
            return {"text": f"{text}\n\n{changed}"}
        head = gettext("%(task)s answers at length: run %(run)s.") % _names(answer, root)
    return {"text": f"{head}\n\n{changed}", "attach": text, "attach_name": ANSWER_FILE}


def _names(answer: Answer, root: UUID) -> dict[str, str]:
    return {"task": answer.task, "run": str(root)[-SHORT:]}
