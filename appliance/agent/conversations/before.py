"""What was so in a conversation when a run began, for the steps of that run: read from rows, the same each time."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import dict_row, tuple_row

from appliance.accounts.principal import person_of
from appliance.agent.conversations import sql
from appliance.agent.conversations.domain import NOTHING, Before, ConversationKind, Said, Speaker
from appliance.agent.conversations.facts import facts_in
from appliance.lib.jsontypes import JsonMapping

MOST_READ = 60
"""Messages that are looked at; of older ones only their number is told."""
MOST_DENIED = 40
"""Calls that people said no to, the newest."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The message that started a run, and where. ``root``: the run that people see."""

    message_id: int
    conversation_id: int
    root: UUID
    at: datetime
    people: tuple[str, ...]
    platform: str
    place: str
    told_after: int | None
    told_upto: int | None
    told_denials: int
    language: str
    """Of whoever asked."""
    person: str
    """Of a conversation with one person."""


async def asked_in(connection: AsyncConnection[Any], run_id: UUID) -> Asked | None:
    """Of the run of a step inside; None where nobody's message started it, or it was forgotten.

    None also where somebody else has begun that run again: what was said is not theirs to hear, nor to act on.
    """
    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute(sql.MESSAGE_OF_RUN, {"run_id": run_id})
    row = await cursor.fetchone()
    if row is None or person_of(row["principal"]) != row["author"]:
        return None
    person = row["person"] if row["kind"] == ConversationKind.PERSON else ""
    people = (person,) if person else await people_of(connection, row["conversation_id"])
    return Asked(
        row["id"],
        row["conversation_id"],
        row["root"],
        row["at"],
        people,
        row["platform"],
        row["place"],
        row["told_after"],
        row["told_upto"],
        row["told_denials"] or 0,
        row["language"],
        person,
    )


async def people_of(connection: AsyncConnection[Any], conversation_id: int) -> tuple[str, ...]:
    """Who has taken part in a room's conversation."""
    cursor = connection.cursor(row_factory=tuple_row)
    await cursor.execute(sql.PEOPLE, {"conversation_id": conversation_id})
    return tuple(row[0] for row in await cursor.fetchall())


async def before(connection: AsyncConnection[Any], asked: Asked | None) -> Before:
    """The first time it is fixed what that is. A conversation that was forgotten meanwhile gives nothing."""
    if asked is None:
        return NOTHING
    after, upto, denials = asked.told_after, asked.told_upto, asked.told_denials
    cursor = connection.cursor(row_factory=tuple_row)
    if after is None or upto is None:
        await cursor.execute(sql.FIX_BEFORE, {"id": asked.message_id})
        fixed = await cursor.fetchone()
        after, upto, denials = fixed or (asked.message_id, asked.message_id, 0)
    values = {
        "conversation_id": asked.conversation_id,
        "id": asked.message_id,
        "told_after": after,
        "told_upto": upto,
        "told_denials": denials,
        "most": MOST_READ,
        "most_denied": MOST_DENIED,
        "at": asked.at,
        "person": asked.person,
    }
    await cursor.execute(sql.NOTES_BEFORE, values)
    notes = await cursor.fetchall()
    await cursor.execute(sql.SAID_BEFORE, values)
    said = await cursor.fetchall()
    await cursor.execute(sql.COUNT_BEFORE, values)
    count = await cursor.fetchone()
    await cursor.execute(sql.DENIED_BEFORE, values)
    denied = await cursor.fetchall()
    return Before(
        standing=tuple(text for text, standing in notes if standing),
        notes=tuple(text for text, standing in notes if not standing),
        said=tuple(
            Said(Speaker(speaker), author, text, facts_in(_facts(detail)))
            for speaker, author, text, detail in reversed(said)
        ),
        denied=tuple(dict.fromkeys(call for (call,) in reversed(denied))),
        more=(count[0] if count else 0) - len(said),
    )


def _facts(detail: Any) -> JsonMapping:
    found = detail.get("facts") if isinstance(detail, dict) else None
    return found if isinstance(found, dict) else {}
