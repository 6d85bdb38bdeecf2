"""What a run asked was answered, and the answer's own wake-up was cut off."""

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection

from appliance.runs import sql
from appliance.runs.invariants import Repaired, Watch

SAYS = "a run that waits for an approval has an open one"
FINDS = """
SELECT r.id FROM runs_run r WHERE r.state = 'waiting' AND r.waiting_for = 'approval'
AND NOT EXISTS (SELECT 1 FROM safety_approval a WHERE a.run_id = r.id AND a.state = 'open')
"""


async def repair(connection: AsyncConnection[Any], watch: Watch) -> Sequence[Repaired]:
    found = await (await connection.execute(FINDS)).fetchall()
    for (run_id,) in found:
        await connection.execute(sql.WAKE_ONE, {"id": run_id, "waiting_for": "approval"})
    return [(run_id, "queued") for (run_id,) in found]
