"""A sender that lives would have sent, renewed or expired it."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from psycopg import AsyncConnection

from appliance.outbox.services import overdue
from appliance.outbox.sql import HINT_CHANNEL, OVERDUE
from appliance.runs.invariants import Repaired, Watch

SAYS = "no message is overdue"
FINDS = OVERDUE
_PATIENCE = timedelta(minutes=1)


async def repair(connection: AsyncConnection[Any], watch: Watch) -> Sequence[Repaired]:
    found = await overdue(connection, watch.now - _PATIENCE)
    if found:
        await connection.execute("SELECT pg_notify(%s, '')", (HINT_CHANNEL,))
    return [(item, "the sender is told") for item in found]
