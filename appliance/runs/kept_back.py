"""Results that a run keeps back for its next transaction: they go out before whatever that writes."""

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection

from appliance.audit.services import AuditEntry
from appliance.lib.clock import Clock, Moment
from appliance.runs.rows import StepWrite
from appliance.runs.steps import write_steps
from appliance.runs.walk import Walk


async def flush(
    walk: Walk,
    connection: AsyncConnection[Any],
    clock: Clock,
    writes: Sequence[StepWrite],
    audit: Sequence[AuditEntry] = (),
) -> None:
    """Write these rows, after the results that were kept back for this transaction. Raises LeaseLost."""
    asked = Moment.of(clock)
    rows = [*walk.pending, *writes]
    await write_steps(connection, walk.lease, walk.definition.name, rows, audit)
    walk.pending.clear()
    if rows:
        walk.proven = asked
