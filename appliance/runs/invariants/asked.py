"""A run ended in another way than by the answer: its approvals are void."""

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection

from appliance.audit.services import AuditEntry, append_async
from appliance.events import ApprovalChanged
from appliance.events.services import record_many_async
from appliance.runs.approval_notices import settle
from appliance.runs.invariants import AT_ONCE, Repaired, Watch
from appliance.safety.approvals.domain import State

SAYS = "nobody is asked about a run that has ended"
FINDS = """
SELECT o.id FROM safety_approval o
WHERE (o.state = 'open' OR (o.state = 'approved' AND o.purpose = 'gate')) AND NOT EXISTS (
    SELECT 1 FROM runs_run r WHERE r.id = o.run_id AND r.state IN ('queued', 'running', 'waiting'))
ORDER BY o.id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
"""
_BECAUSE = "its run has ended"
_VOID = f"""
UPDATE safety_approval a SET state = 'void', closed_at = now(), closed_because = '{_BECAUSE}'
WHERE a.id IN ({FINDS}) RETURNING a.id, a.run_id, a.task, a.step, a.closed_at
"""


async def repair(connection: AsyncConnection[Any], watch: Watch) -> Sequence[Repaired]:
    rows = await (await connection.execute(_VOID, {"limit": AT_ONCE})).fetchall()
    events = [ApprovalChanged(str(row[0]), str(row[1]), row[2], row[3], "void", "box") for row in rows]
    if events:
        await record_many_async(connection, events)
    for row in rows:
        await settle(connection, row[0], State.VOID, _BECAUSE, row[4])
    entries = [
        AuditEntry("approval.void", "box", str(row[0]), {"run": str(row[1]), "because": _BECAUSE})
        for row in rows
    ]
    await append_async(connection, entries)
    return [(row[0], "void") for row in rows]
