"""A worker stopped: its runs are queued, and one that never gets on is parked (P10)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from appliance.events import RunChanged
from appliance.events.services import record_many_async
from appliance.runs import sql
from appliance.runs.changes import names_of, run_changed
from appliance.runs.domain import RECOVERY_LIMIT, RunState
from appliance.runs.invariants import Repaired, Watch
from appliance.runs.rows import LEASE

SAYS = "a running run has a live lease"
FINDS = sql.SUSPECTS


async def repair(connection: AsyncConnection[Any], watch: Watch) -> Sequence[Repaired]:
    found = await (await connection.execute(FINDS, {"lease": LEASE})).fetchall()
    gone = watch.lasting(SAYS, ((run_id, until) for run_id, until in found))
    return await take(connection, gone) if gone else []


async def take(
    connection: AsyncConnection[Any],
    gone: Sequence[tuple[UUID, datetime]] = (),
    dead_owners: Sequence[str] = (),
) -> list[Repaired]:
    """Queue the runs of these very leases, and all of owners that are known to be dead."""
    cursor = await connection.execute(
        sql.RECOVER,
        {
            "ids": [run_id for run_id, _ in gone],
            "untils": [until for _, until in gone],
            "limit": RECOVERY_LIMIT,
            "dead_owners": list(dead_owners),
            "reason": "its worker stopped; recovered",
            "poison_reason": f"stopped its worker {RECOVERY_LIMIT + 1} times without getting on: parked",
        },
    )
    rows = await cursor.fetchall()
    if not rows:
        return []
    names = await names_of(connection, [row[2] for row in rows])
    changes: list[RunChanged] = [
        run_changed(row[0], names.get(row[2], ""), RunState(row[1]), None, row[3])
        for row in rows
        if row[4] is None
    ]
    await record_many_async(connection, changes)
    return [(row[0], row[1]) for row in rows]
