"""The last value of each topic: bounded, durable, written in the caller's transaction."""

import json
import math
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from psycopg import AsyncConnection

from appliance.bus import sql
from appliance.bus.filters import MAX_TOPIC_BYTES
from appliance.bus.places import MAX_NAME
from appliance.bus.values import HEAD_BYTES, Quality, TopicValue, is_repetition, read_payload
from appliance.lib.jsontypes import JsonObject, JsonValue

__all__ = [
    "MAX_TOPICS",
    "Quality",
    "TopicValue",
    "current_rate",
    "last_of_each",
    "read_many",
    "read_state",
    "remember",
]

MAX_TOPICS = 10_000
"""Topics whose last value is kept. What comes on others is handled, and not remembered."""

_RATE_SECONDS = 30.0
_LONGEST = MAX_TOPIC_BYTES + MAX_NAME + 1


async def remember(
    connection: AsyncConnection[Any], values: Sequence[TopicValue], *, limit: int = MAX_TOPICS
) -> int:
    """Keep the last of ``values`` per topic, and count them all; how many topics there was no room for.

    Meant for one writer: two at a time may wait for each other's rows.
    """
    rows = last_of_each(values)
    left_out = len({value.topic for value in values}) - len(rows)
    if not rows:
        return left_out
    cursor = await connection.execute(sql.REMEMBER, (json.dumps(rows), limit))
    row = await cursor.fetchone()
    return left_out + (row[0] if row else 0)


def last_of_each(values: Sequence[TopicValue]) -> list[JsonObject]:
    """The last of ``values`` per topic, with their number: rows for the function ``bus_remember``."""
    last: dict[str, tuple[TopicValue, bool | None]] = {}
    counts: dict[str, int] = {}
    for value in values:
        last[value.topic] = _after(last.get(value.topic), value) if value.retained else (value, True)
        counts[value.topic] = counts.get(value.topic, 0) + 1
    return [_row(*last[topic], counts[topic]) for topic in sorted(last) if _fits(topic)]


def _after(
    before: tuple[TopicValue, bool | None] | None, value: TopicValue
) -> tuple[TopicValue, bool | None]:
    """A retained ``value``, and whether ``at`` is its age. None: that depends on what the table has."""
    if before is None:
        return value, None
    if is_repetition(value.retained, value.payload, before[0].payload):
        return replace(value, at=before[0].at), before[1]
    return value, False


def _fits(topic: str) -> bool:
    return "\x00" not in topic and len(topic.encode()) <= _LONGEST


def _row(value: TopicValue, age_known: bool | None, count: int) -> JsonObject:
    content = value.content or read_payload(value.payload)
    return {
        "topic": value.topic,
        "payload": b64encode(value.payload[:HEAD_BYTES]).decode(),
        "size": len(value.payload),
        "value": content.document,
        "quality": content.quality.value,
        "retained": value.retained,
        "at": value.at.isoformat(),
        "age_known": age_known,
        "count": count,
    }


async def read_state(
    connection: AsyncConnection[Any], topic: str, max_age: timedelta | None, now: datetime
) -> JsonValue:
    """The last value of ``topic`` (`places.place_of`); None if there is none, or none younger than ``max_age``.

    A value whose age is unknown (`values.is_repetition`) is not younger than any.
    """
    cursor = await connection.execute(sql.READ, (topic,))
    row = await cursor.fetchone()
    if row is None or row[1] != Quality.GOOD:
        return None
    value: JsonValue = row[0]
    at: datetime | None = row[2]
    return None if max_age is not None and (at is None or now - at > max_age) else value


def current_rate(rate: float, at: datetime, now: datetime) -> float:
    """The rate of a row read at ``now``: without new messages it fades."""
    return rate * math.exp(-max(0.0, (now - at).total_seconds()) / _RATE_SECONDS)


async def read_many(connection: AsyncConnection[Any], topics: Sequence[str]) -> JsonObject:
    """``value``, ``quality`` and time (``at``, ISO) of each topic's last value; None for one that has none.

    ``at`` is None where the value's age is unknown.
    """
    cursor = await connection.execute(sql.READ_MANY, (list(topics),))
    found: JsonObject = dict.fromkeys(sorted(topics))
    for topic, value, quality, at in await cursor.fetchall():
        found[topic] = {"value": value, "quality": quality, "at": at.isoformat() if at else None}
    return found
