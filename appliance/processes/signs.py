"""Signs of life: rows that say when a part was last seen working."""

from typing import Any

from django.db import connection
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

BROKER_PART = "mqtt:"
"""The part of a further broker: this and its name."""

_BEAT = """
INSERT INTO processes_partbeat (part, at, healthy, detail) VALUES (%s, now(), %s, %s)
ON CONFLICT (part) DO UPDATE SET at = excluded.at, healthy = excluded.healthy, detail = excluded.detail
"""


async def sign(connection: AsyncConnection[Any], part: str, healthy: bool, detail: dict[str, Any]) -> None:
    """Record a sign of life on the hot path's connection."""
    await connection.execute(_BEAT, (part, healthy, Jsonb(detail)))


def beat_arrived() -> None:
    """Record that a firing of beat has reached a worker."""
    with connection.cursor() as cursor:
        cursor.execute(_BEAT, ["beat", True, "{}"])
