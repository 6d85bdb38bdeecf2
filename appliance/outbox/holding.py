"""Items that wait for a better time: out of the line, back into it, and how many there are."""

from datetime import datetime
from typing import Any

from django.db import connection as django_connection
from psycopg import AsyncConnection
from psycopg.rows import dict_row

from appliance.events import DeliveryChanged
from appliance.events.services import record_many_async
from appliance.lib.plain import plain_text
from appliance.outbox import sql_holding as sql
from appliance.outbox.domain import OutboxState
from appliance.outbox.ports import Hold, Parcel
from appliance.outbox.sql import HINT_CHANNEL

AT_ONCE = 1000
"""Of one target that are held in one short transaction; the next claim holds the next ones."""


async def hold(
    connection: AsyncConnection[Any], parcel: Parcel, epoch: int, given: Hold, reason_before: str
) -> int:
    """Take a claimed item out of its line, and all alike that wait behind it, in the caller's transaction.

    Gives how many there were: 0 when another sender holds the item now (P4).
    """
    values = {
        "id": parcel.id,
        "epoch": epoch,
        "platform": parcel.platform,
        "conversation": parcel.conversation or "",
        "until": given.until,
        "reason": plain_text(given.reason)[:1000],
        "below": given.below,
        "about": given.about,
        "limit": AT_ONCE,
    }
    if (await connection.execute(sql.HOLD, values)).rowcount != 1:
        return 0
    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute(sql.HOLD_ALIKE, values)
    rows = await cursor.fetchall()
    first = {"id": parcel.id, "platform": parcel.platform, "run_id": parcel.run_id, "step_id": parcel.step_id}
    rows.append({**first, "reason_before": reason_before})
    # One that was only asked again has nothing new to say.
    told = [_held(row, given.reason) for row in rows if row["reason_before"] != values["reason"]]
    await record_many_async(connection, told)
    return len(rows)


def _held(row: dict[str, Any], reason: str) -> DeliveryChanged:
    return DeliveryChanged(
        item_id=str(row["id"]),
        platform=row["platform"],
        state=OutboxState.HELD.value,
        run_id=str(row["run_id"] or ""),
        step=row["step_id"],
        error=reason,
    )


async def release_due(connection: AsyncConnection[Any], now: datetime) -> int:
    """Put back into their lines what has waited long enough; gives how many there were."""
    return (await connection.execute(sql.RELEASE_DUE, {"now": now})).rowcount


async def release(
    connection: AsyncConnection[Any], platform: str = "", conversation: str = "", about: str = ""
) -> int:
    """A reason to hold may have gone: have held items looked at again, those of a platform, of one of its
    conversations, of what is about something; gives how many there were."""
    cursor = await connection.execute(sql.RELEASE, _released(platform, conversation, about))
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


def release_now(platform: str = "", conversation: str = "", about: str = "") -> int:
    """As ``release``, in the current transaction of Django's connection."""
    with django_connection.cursor() as cursor:
        cursor.execute(sql.RELEASE, _released(platform, conversation, about))
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def _released(platform: str, conversation: str, about: str) -> dict[str, str]:
    return {"channel": HINT_CHANNEL, "platform": platform, "conversation": conversation, "about": about}
