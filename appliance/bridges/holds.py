"""Whether there is a better time for a message than now: quiet hours of its platform, mutes of its conversation."""

from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

from appliance.bridges import sql_mutes
from appliance.bridges.mutes import muted
from appliance.bridges.ports import Bridge
from appliance.bridges.quiet import QuietHours
from appliance.bridges.registry import bridges
from appliance.lib.priority import Priority
from appliance.outbox.ports import Hold, Parcel


async def hold_of(
    connection: AsyncConnection[Any], parcel: Parcel, bridge: Bridge, now: datetime
) -> Hold | None:
    """The one that lasts longest. What is critical passes, and programs do not sleep.

    The platform's row is read each time: a change of its quiet hours counts at once.
    """
    factory = bridges().get(parcel.platform)
    if parcel.priority >= Priority.CRITICAL.rank or (factory and factory.programs):
        return None
    cursor = await connection.execute(sql_mutes.PLATFORM_SAYS, {"name": parcel.platform})
    quiet, default = await cursor.fetchone() or (None, "")
    conversation = parcel.conversation or bridge.default_conversation() or default
    found = [
        await muted(connection, parcel.platform, conversation, parcel.about, now),
        QuietHours.model_validate(quiet).hold(now, parcel.priority) if quiet else None,
    ]
    return max((hold for hold in found if hold), key=lambda hold: hold.until, default=None)
