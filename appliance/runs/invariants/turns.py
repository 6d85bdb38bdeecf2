"""A run that waits for its turn without a place in any line would wait for ever."""

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection

from appliance.runs.admission_sql import STRANDED
from appliance.runs.invariants import Repaired, Watch

SAYS = "a run that waits for its turn stands in a line"
FINDS = STRANDED


async def repair(connection: AsyncConnection[Any], watch: Watch) -> Sequence[Repaired]:
    return [(row[0], "queued") for row in await (await connection.execute(FINDS)).fetchall()]
