"""Writing step rows under a run's lease, in a transaction that holds more than them."""

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection

from appliance.audit.services import AuditEntry, append_async
from appliance.events.services import record_many_async
from appliance.runs import sql
from appliance.runs.domain import Lease
from appliance.runs.rows import LeaseLost, StepWrite, change_of, step_parameters


async def write_steps(
    connection: AsyncConnection[Any],
    lease: Lease,
    task: str,
    writes: Sequence[StepWrite],
    audit: Sequence[AuditEntry] = (),
) -> None:
    """Write step rows with their events and records. Raises LeaseLost."""
    written = [await connection.execute(sql.WRITE_STEP, step_parameters(lease, write)) for write in writes]
    if lease.shard_of is None:
        await record_many_async(connection, [change_of(lease, task, write) for write in writes])
    if audit:
        await append_async(connection, audit)
    # Asked only now: in a pipeline everything above went out in one round trip.
    for cursor in written:
        if await cursor.fetchone() is None:
            raise LeaseLost(f"run {lease.run_id} is held by another worker")
