"""The last receipt came, and its own wake-up was cut off."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

from appliance.runs import sql
from appliance.runs.invariants import Repaired

SAYS = "a run that waits for delivery has one under way"
_DELIVERED = """
SELECT r.id FROM runs_run r WHERE r.state = 'waiting' AND r.waiting_for = 'delivery'
AND NOT EXISTS (SELECT 1 FROM runs_step s WHERE s.run_id = r.id AND s.state = 'handed_over')
"""


async def repair(connection: AsyncConnection[Any], now: datetime) -> Sequence[Repaired]:
    found = await (await connection.execute(_DELIVERED)).fetchall()
    for (run_id,) in found:
        await connection.execute(sql.WAKE_ONE, {"id": run_id, "waiting_for": "delivery"})
    return [(run_id, "queued") for (run_id,) in found]
