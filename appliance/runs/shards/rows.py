"""The rows of a query as a source: one snapshot of a database of one's own, streamed by the server's cursor."""

from collections.abc import AsyncGenerator
from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from appliance.actions.sql_session import opened, streamed, translated, whereabouts
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.runs.shards.sources import (
    BATCH,
    BATCH_BYTES,
    Batch,
    NoShards,
    check_bytes,
    check_count,
    size_of,
)
from appliance.safety.references import PREFIX
from appliance.safety.secrets import resolve_async

MOST_ROW_BYTES = 256 * 1024
SECONDS = 300.0
"""The server's time limit for one reading."""


def row_source(query: JsonObject) -> JsonObject:
    """How many rows there are is known at the last of them."""
    return {"kind": "rows", "query": query, "count": 0, "bytes": 0}


async def row_batches(
    source: JsonObject, context: int, pool: AsyncConnectionPool[AsyncConnection[Any]]
) -> AsyncGenerator[Batch, None]:
    """All rows, from the first; ``context`` is what each shard has beside its row, in bytes.

    Raises NoShards, ActionRefused, and TargetAway where the database is away.
    """
    query = source["query"]
    assert isinstance(query, dict)
    name, text, values = str(query["database"]), str(query["query"]), query["params"]
    async with pool.connection() as own:
        address = await resolve_async(own, PREFIX + name)
        here = await whereabouts(own)
    taken: list[JsonValue] = []
    count = size = written = 0
    with translated(name, SECONDS):
        async with (
            opened(address, name, here) as connection,
            streamed(
                connection, text, values if isinstance(values, dict) and values else None, SECONDS
            ) as rows,
        ):
            async for piece in rows:
                taken += piece
                count, size = count + len(piece), size + sum(map(_checked, piece))
                check_count(count)
                check_bytes(context, now := {**source, "count": count, "bytes": size})
                if len(taken) >= BATCH or size - written > BATCH_BYTES:
                    yield Batch(taken, now)
                    taken, written = [], size
            if taken:
                yield Batch(taken, now)


def _checked(row: JsonObject) -> int:
    """Bytes of a row. Raises NoShards where they are too many."""
    if (size := size_of(row)) > MOST_ROW_BYTES:
        raise NoShards(f"query: a row of more than {MOST_ROW_BYTES // 1024} KiB", hint="name fewer columns")
    return size
