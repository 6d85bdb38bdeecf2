"""What reads and guards the row of a split."""

from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from appliance.runs.rows import LeaseLost
from appliance.runs.shards import sql
from appliance.runs.shards.split import Split
from appliance.runs.walk import Walk


async def fetch(connection: AsyncConnection[Any], query: Any, values: dict[str, Any]) -> Split | None:
    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute(query, values)
    row = await cursor.fetchone()
    return Split.of(row) if row else None


async def fence(connection: AsyncConnection[Any], walk: Walk) -> None:
    """The run stays ours until the commit. Raises LeaseLost."""
    values = {"run_id": walk.row.id, "epoch": walk.lease.epoch, "owner": walk.lease.owner}
    cursor = await connection.execute(sql.FENCE, values)
    if await cursor.fetchone() is None:
        raise LeaseLost(f"run {walk.row.id} is held by another worker")
