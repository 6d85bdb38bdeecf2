"""Messages that asked for something, once it is settled: they say by whom in their own place, and ask no more.

A message that asks carries ``asks``: its ``text`` without the words that say how to answer, and its ``language``. What
is settled while it still waits is never sent; what was sent is edited where the platform can, which the hub sees to.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection as django_connection
from django.utils.translation import override
from psycopg import AsyncConnection
from psycopg.rows import tuple_row

from appliance.bridges import sql_settling as sql
from appliance.lib.identity import time_of, uuid_floor
from appliance.lib.jsontypes import JsonObject
from appliance.outbox.ports import OutboxItem
from appliance.outbox.services import enqueue, enqueue_now

Said = Callable[[], str]
"""The sentence that says how it was settled, in the language that is active when it is called."""

Where = dict[str, Any]


def asked(text: str, language: str) -> JsonObject:
    """What a message that asks carries beside its text and buttons."""
    return {"text": text, "language": language}


def these(ids: Sequence[UUID]) -> Where:
    """Messages by their identifiers."""
    return {"ids": list(ids), "first": None, "end": None, "prefix": ""}


def begun_with(prefix: str, at: datetime) -> Where:
    """Messages whose keys begin so and whose identifiers carry ``at``: one short look into one partition."""
    first = uuid_floor(at)
    return {"ids": None, "first": first, "end": UUID(int=first.int + (1 << 80)), "prefix": prefix}


async def settle(
    connection: AsyncConnection[Any], where: Where, mark: str, said: Said, now: datetime, aloud: str = "\0"
) -> None:
    """In the caller's transaction. ``mark`` tells one settlement of the same messages from the next.

    Messages whose keys begin with ``aloud`` are followed by a new one where their platform cannot edit.
    """
    cursor = connection.cursor(row_factory=tuple_row)
    await cursor.execute(_withdraw(where), {**where, "now": now})
    await cursor.execute(_sent(where), where)
    for item in _items(await cursor.fetchall(), mark, said, aloud):
        await enqueue(connection, item)


def settle_now(where: Where, mark: str, said: Said, now: datetime, aloud: str = "\0") -> None:
    """As ``settle``, in the current transaction of Django's connection."""
    with django_connection.cursor() as cursor:
        cursor.execute(_withdraw(where), {**where, "now": now})
        cursor.execute(_sent(where), where)
        rows = cursor.fetchall()
    for item in _items(rows, mark, said, aloud):
        enqueue_now(item)


def _withdraw(where: Where) -> str:
    return sql.WITHDRAW_THESE if where["ids"] is not None else sql.WITHDRAW_BEGUN_WITH


def _sent(where: Where) -> str:
    return sql.THESE if where["ids"] is not None else sql.BEGUN_WITH


def _items(rows: Sequence[Any], mark: str, said: Said, aloud: str) -> Iterator[OutboxItem]:
    for identifier, key, platform, conversation, text, language, priority in rows:
        with override(language or "en"):
            words = said()
        message: JsonObject = {"text": f"{text}\n{words}", "settles": str(identifier)}
        if key.startswith(aloud):
            message["aloud"] = f"{words}\n{text.partition(chr(10))[0]}"
        yield OutboxItem(
            key=f"settled/{mark}/{identifier}",
            platform=platform,
            conversation=conversation,
            message=message,
            at=time_of(identifier),
            priority=priority,
        )
