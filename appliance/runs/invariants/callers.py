"""A caller was cancelled, and whoever did that died before it had ended what was called."""

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection

from appliance.runs import sql
from appliance.runs.called import end_called_async
from appliance.runs.invariants import Repaired, Watch

SAYS = "no run goes on for a cancelled caller"
FINDS = sql.CALLED_BY_CANCELLED


async def repair(connection: AsyncConnection[Any], watch: Watch) -> Sequence[Repaired]:
    """One caller at a time: no two trees of runs are locked together."""
    row = await (await connection.execute(f"{FINDS} ORDER BY p.id LIMIT 1")).fetchone()
    return [(run_id, "ended") for run_id in await end_called_async(connection, *row)] if row else []
