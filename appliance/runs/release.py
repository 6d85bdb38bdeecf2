"""Giving a run up in a new state: its last rows and what follows from them, in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from appliance.events.services import record_many_async
from appliance.lib.plain import plain_text
from appliance.runs import sql
from appliance.runs.changes import run_changed
from appliance.runs.domain import FINAL, Lease, RunState, Waiting
from appliance.runs.rows import LeaseLost, StepWrite
from appliance.runs.shards import counting
from appliance.runs.shards.sql import STILL_OPEN
from appliance.runs.steps import write_steps
from appliance.safety.approvals.sql import WITHOUT_OPEN


@dataclass(frozen=True, slots=True)
class Release:
    """The state in which a run is given up, and why.

    ``writes`` are the rows kept back until now; ``handed_over`` the steps whose messages were under way.
    ``progress``: whether this life of the run has finished a step (P10).
    """

    state: RunState
    reason: str = ""
    warning: str = ""
    waiting_for: Waiting | None = None
    wake_at: datetime | None = None
    writes: Sequence[StepWrite] = ()
    progress: bool = True
    handed_over: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Released:
    """What became of it: the state it is in now, and the runs that this queued."""

    state: RunState
    reason: str
    queued: Sequence[UUID] = ()


async def release(connection: AsyncConnection[Any], lease: Lease, task: str, wanted: Release) -> Released:
    """Give the run up, in the caller's transaction. Raises LeaseLost.

    The row is locked first, so that a receipt arriving now is either seen here or sees the new state.
    """
    cursor = await connection.execute(sql.LOCK_RUN, {"id": lease.run_id})
    locked = await cursor.fetchone()
    if wanted.writes:
        await write_steps(connection, lease, task, wanted.writes)
    cancelled = locked[3] if locked and locked[2] else None
    becomes = await _becomes(connection, lease, wanted, cancelled)
    parent, queued = await _write(connection, lease, task, becomes)
    if becomes.state is RunState.CANCELLED:
        await connection.execute(sql.END_STEPS, {"ids": [lease.run_id]})
    if parent is not None and becomes.state in FINAL:
        await connection.execute(sql.WAKE_CALLER, {"id": parent})
    if becomes.state is RunState.QUEUED and wanted.waiting_for is not None:
        queued = [lease.run_id]
    return Released(becomes.state, becomes.reason, queued)


async def _becomes(
    connection: AsyncConnection[Any], lease: Lease, wanted: Release, cancelled: str | None
) -> Release:
    """What is wanted, now that the row is locked: what happened while the run went on is seen here.

    A run that succeeded but has messages under way becomes ``waiting: delivery`` (P9); one of whose
    ``handed_over`` steps was refused meanwhile is queued, for its ``on_failure`` steps. A run whose cancellation
    was asked for (``cancelled`` is the reason) does not wait: it ends, and what it has called with it.
    """
    if wanted.state is RunState.SUCCEEDED:
        wanted = await _unless_delivered(connection, lease, wanted)
    if wanted.state is RunState.WAITING and cancelled is not None:
        wanted = replace(wanted, state=RunState.CANCELLED, waiting_for=None, wake_at=None)
    elif await _is_over(connection, lease, wanted.waiting_for):
        wanted = replace(wanted, state=RunState.QUEUED, waiting_for=None, wake_at=None)
    if wanted.state is RunState.CANCELLED and cancelled is not None:
        wanted = replace(wanted, reason=cancelled)
    return wanted


async def _write(
    connection: AsyncConnection[Any], lease: Lease, task: str, release: Release
) -> tuple[UUID | None, Sequence[UUID]]:
    """The row of the run, its event, and its place among the shards. Gives its caller, and what this queued."""
    values = {
        **lease.parameters,
        "state": release.state.value,
        "waiting_for": release.waiting_for.value if release.waiting_for else "",
        "reason": plain_text(release.reason)[:1000],
        "warning": plain_text(release.warning)[:1000],
        "wake_at": release.wake_at,
        "progress": release.progress,
        "final": release.state in FINAL,
    }
    cursor = await connection.execute(sql.RELEASE, values)
    counted = None
    if lease.shard_of is None:
        change = run_changed(lease.run_id, task, release.state, release.waiting_for, release.reason)
        await record_many_async(connection, [change])
    elif release.state in FINAL:
        counted = await counting.Count.send(connection, lease.shard_of, [lease.run_id])
    row = await cursor.fetchone()
    if row is None:
        raise LeaseLost(f"run {lease.run_id} is held by another worker")
    return row[0], (await counted.result(connection))[1] if counted else ()


async def _is_over(connection: AsyncConnection[Any], lease: Lease, waiting: Waiting | None) -> bool:
    """Whether what it would wait for came while it went on, and found nobody to wake."""
    if waiting is Waiting.SHARDS:
        row = await (await connection.execute(STILL_OPEN, {"run_id": lease.run_id})).fetchone()
        return row is not None and row[0] == 0
    if waiting is Waiting.APPROVAL:
        row = await (await connection.execute(WITHOUT_OPEN, {"id": lease.run_id})).fetchone()
        return row is not None and bool(row[0])
    if waiting is Waiting.TIMER:
        row = await (await connection.execute(sql.CALLED_HAS_ENDED, {"id": lease.run_id})).fetchone()
        return row is not None and bool(row[0])
    return False


async def _unless_delivered(connection: AsyncConnection[Any], lease: Lease, wanted: Release) -> Release:
    """What success becomes, now that the receipts are known that came while the run went on."""
    if wanted.handed_over:
        values = {"id": lease.run_id, "handed_over": list(wanted.handed_over)}
        row = await (await connection.execute(sql.REFUSED_MEANWHILE, values)).fetchone()
        if row and row[0]:
            return replace(
                wanted, state=RunState.QUEUED, waiting_for=None, reason="a message could not be delivered"
            )
    row = await (await connection.execute(sql.UNDELIVERED, {"id": lease.run_id})).fetchone()
    if row and row[0]:
        return replace(wanted, state=RunState.WAITING, waiting_for=Waiting.DELIVERY)
    return wanted
