"""Reading and writing cache values inside the caller's transaction."""

from collections.abc import Collection

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from appliance.lib.jsontypes import JsonValue
from appliance.lib.plain import plain

_READ = "SELECT key, value FROM cache_cacheentry WHERE key = ANY(%s)"
_WRITE = """
INSERT INTO cache_cacheentry (key, value, version, updated_at, updated_by) VALUES (%s, %s, 1, now(), %s)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = cache_cacheentry.version + 1,
    updated_at = excluded.updated_at, updated_by = excluded.updated_by
"""


async def read(connection: AsyncConnection, keys: Collection[str]) -> dict[str, JsonValue]:
    """The values that exist under ``keys``."""
    if not keys:
        return {}
    cursor = await connection.execute(_READ, (list(keys),))
    return dict(await cursor.fetchall())


async def write(connection: AsyncConnection, key: str, value: JsonValue, by: str) -> None:
    """Store ``value`` under ``key`` in the caller's transaction; ``by`` names the run and step."""
    await connection.execute(_WRITE, (key, Jsonb(plain(value)), by))
