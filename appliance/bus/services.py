"""The last value of each topic: bounded, durable, written in the caller's transaction."""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from psycopg import AsyncConnection

from appliance.bus.filters import MAX_TOPIC_BYTES
from appliance.bus.values import HEAD_BYTES, Quality, TopicValue, read_payload
from appliance.lib.jsontypes import JsonValue

__all__ = ["MAX_TOPICS", "Quality", "TopicValue", "current_rate", "read_state", "remember"]

MAX_TOPICS = 10_000
"""Topics whose last value is kept. What comes on others is handled, and not remembered."""

_RATE_SECONDS = 30.0

# A decaying average: after dt seconds the old rate counts exp(-dt/30), and the n new messages in dt the rest.
_DT = "greatest(extract(epoch FROM s.at - v.at)::float8, 0.001)"
_UPDATE = f"""
UPDATE bus_topicvalue v SET payload = s.payload, size = s.size, value = s.value::jsonb, quality = s.quality,
    retained = s.retained, at = greatest(v.at, s.at), count = v.count + s.count,
    rate = v.rate * exp(-{_DT} / {_RATE_SECONDS}) + s.count * (1 - exp(-{_DT} / {_RATE_SECONDS})) / {_DT}
FROM unnest(%(topics)s::text[], %(payloads)s::bytea[], %(sizes)s::int[], %(values)s::text[],
    %(qualities)s::text[], %(retained)s::bool[], %(ats)s::timestamptz[], %(counts)s::int[])
    AS s(topic, payload, size, value, quality, retained, at, count)
WHERE v.topic = s.topic
RETURNING v.topic
"""
_INSERT = f"""
INSERT INTO bus_topicvalue (topic, payload, size, value, quality, retained, at, count, rate)
SELECT topic, payload, size, value::jsonb, quality, retained, at, count, count / {_RATE_SECONDS}
FROM unnest(%(topics)s::text[], %(payloads)s::bytea[], %(sizes)s::int[], %(values)s::text[],
    %(qualities)s::text[], %(retained)s::bool[], %(ats)s::timestamptz[], %(counts)s::int[])
    AS s(topic, payload, size, value, quality, retained, at, count)
LIMIT greatest(0, %(limit)s - (SELECT count(*) FROM bus_topicvalue))
ON CONFLICT (topic) DO NOTHING
"""
_READ = "SELECT value, quality, at FROM bus_topicvalue WHERE topic = %s"


async def remember(
    connection: AsyncConnection[Any], values: Sequence[TopicValue], *, limit: int = MAX_TOPICS
) -> int:
    """Keep the last of ``values`` per topic, and count them all; how many topics there was no room for.

    Meant for one writer: two at a time may wait for each other's rows.
    """
    last: dict[str, TopicValue] = {}
    counts: dict[str, int] = {}
    for value in values:
        last[value.topic] = value
        counts[value.topic] = counts.get(value.topic, 0) + 1
    fit = sorted(topic for topic in last if "\x00" not in topic and len(topic.encode()) <= MAX_TOPIC_BYTES)
    left_out = len(last) - len(fit)
    if not fit:
        return left_out
    cursor = await connection.execute(_UPDATE, _columns(fit, last, counts))
    known = {row[0] for row in await cursor.fetchall()}
    new = [topic for topic in fit if topic not in known]
    if new:
        cursor = await connection.execute(_INSERT, {**_columns(new, last, counts), "limit": limit})
        left_out += len(new) - cursor.rowcount
    return left_out


def _columns(topics: list[str], last: dict[str, TopicValue], counts: dict[str, int]) -> dict[str, list[Any]]:
    contents = [read_payload(last[topic].payload) for topic in topics]
    return {
        "topics": topics,
        "payloads": [last[topic].payload[:HEAD_BYTES] for topic in topics],
        "sizes": [len(last[topic].payload) for topic in topics],
        "values": [content.document for content in contents],
        "qualities": [content.quality.value for content in contents],
        "retained": [last[topic].retained for topic in topics],
        "ats": [last[topic].at for topic in topics],
        "counts": [counts[topic] for topic in topics],
    }


async def read_state(
    connection: AsyncConnection[Any], topic: str, max_age: timedelta | None, now: datetime
) -> JsonValue:
    """The last value of ``topic``; None if there is none, or none younger than ``max_age``."""
    cursor = await connection.execute(_READ, (topic,))
    row = await cursor.fetchone()
    if row is None or row[1] != Quality.GOOD or (max_age is not None and now - row[2] > max_age):
        return None
    value: JsonValue = row[0]
    return value


def current_rate(rate: float, at: datetime, now: datetime) -> float:
    """The rate of a row read at ``now``: without new messages it fades."""
    return rate * math.exp(-max(0.0, (now - at).total_seconds()) / _RATE_SECONDS)
