"""A clock that was set back hangs nothing."""

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection

from appliance.runs import sql
from appliance.runs.invariants import Repaired, Watch

SAYS = "no run waits longer than it was to"
FINDS = sql.WAKE_SET_BACK


async def repair(connection: AsyncConnection[Any], watch: Watch) -> Sequence[Repaired]:
    woken = await (await connection.execute(FINDS)).fetchall()
    return [(row[0], "woken") for row in woken]
