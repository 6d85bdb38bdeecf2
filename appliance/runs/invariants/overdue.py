"""A sender that lives would have sent, renewed or expired it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from psycopg import AsyncConnection

from appliance.outbox.services import overdue
from appliance.outbox.sql import HINT_CHANNEL
from appliance.runs.invariants import Repaired

SAYS = "no message is overdue"
_PATIENCE = timedelta(minutes=1)


async def repair(connection: AsyncConnection[Any], now: datetime) -> Sequence[Repaired]:
    found = await overdue(connection, now - _PATIENCE)
    if found:
        await connection.execute("SELECT pg_notify(%s, '')", (HINT_CHANNEL,))
    return [(item, "the sender is told") for item in found]
