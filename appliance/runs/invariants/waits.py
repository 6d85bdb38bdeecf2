"""A clock that was set back hangs nothing."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

from appliance.runs import sql
from appliance.runs.invariants import Repaired

SAYS = "no run waits longer than it was to"


async def repair(connection: AsyncConnection[Any], now: datetime) -> Sequence[Repaired]:
    woken = await (await connection.execute(sql.WAKE_SET_BACK)).fetchall()
    return [(row[0], "woken") for row in woken]
