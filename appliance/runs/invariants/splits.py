"""The last shard ended, and its count or the wake-up of its run was cut off."""

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection

from appliance.runs.invariants import Repaired, Watch
from appliance.runs.shards import sql
from appliance.runs.shards.keeper import mend

SAYS = "a run that waits for shards has some to wait for"
FINDS = sql.IDLE
"""And ``sql.OVERSLEPT``: a run that was not woken."""


async def repair(connection: AsyncConnection[Any], watch: Watch) -> Sequence[Repaired]:
    return [(run_id, done) for run_id, done in await mend(connection)]
