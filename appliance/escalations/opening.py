"""Opening an escalation, in the transaction that writes its first messages."""

from datetime import timedelta
from typing import Any

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from appliance.escalations import sql
from appliance.escalations.domain import NewEscalation
from appliance.escalations.telling import told_of
from appliance.events import EscalationOpened
from appliance.events.services import record_async
from appliance.lib.plain import plain_text


async def open_one(connection: AsyncConnection[Any], new: NewEscalation) -> bool:
    """Whether it is new; one with the same key stays as it is, whatever has become of it."""
    first = new.stages[0].after
    values = {
        "id": new.id,
        "code": new.code,
        "title": plain_text(new.title),
        "text": plain_text(new.text),
        "about": new.about[:200],
        "task": plain_text(new.task)[:200],
        "run_id": new.run_id,
        "step_id": plain_text(new.step_id)[:100],
        "alert_id": new.alert_id,
        "stages": Jsonb([stage.to_json() for stage in new.stages]),
        "wait": first,
        "next_at": new.opened_at + timedelta(seconds=first),
        "priority": new.priority,
        "messages": Jsonb([str(one) for one in new.messages]),
        "now": new.opened_at,
    }
    cursor = await connection.execute(sql.OPEN, values)
    if await cursor.fetchone() is None:
        return False
    await record_async(connection, EscalationOpened(**told_of(values)))
    return True
