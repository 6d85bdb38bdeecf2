"""What a run writes most often, as one statement each: its steps with their records, and an ordinary end."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from appliance.audit.chain import AuditEntry
from appliance.audit.chain import columns as audit_columns
from appliance.events import Event
from appliance.events.journal import columns as event_columns
from appliance.lib.plain import plain, plain_text
from appliance.runs import at_once_sql as sql
from appliance.runs.changes import run_changed
from appliance.runs.domain import FINAL, Lease, RunState
from appliance.runs.release import Release
from appliance.runs.rows import LeaseLost, StepWrite, change_of, step_values
from appliance.runs.together import Together
from appliance.safety.budgets.domain import Charge, Over
from appliance.safety.budgets.services import encoded, over_of
from appliance.safety.gate import Action, Look

_ENCODER = json.JSONEncoder(
    default=lambda value: value.isoformat() if isinstance(value, datetime) else plain(value),
    ensure_ascii=False,
    allow_nan=False,
    separators=(",", ":"),
)


@dataclass(frozen=True, slots=True)
class Payment:
    """What the effect costs whose intent is written, and by which clock."""

    charges: Sequence[Charge]
    at: datetime


NOTHING = Payment((), datetime.min)


class Written(NamedTuple):
    """Whether it was written, what the gate would look at now, which budgets had no room, and whether any run waits
    for a target that is away."""

    done: bool
    look: Look
    over: list[Over]
    some_away: bool


async def write(
    together: Together,
    lease: Lease,
    action: Action,
    decided: Look | None,
    writes: Sequence[StepWrite],
    audit: Sequence[AuditEntry] = (),
    payment: Payment = NOTHING,
    *,
    relaxed: bool = False,
) -> Written:
    """Write steps under the lease, provided that what the gate ``decided`` on is still so (None: in any case), and
    that there is room in every budget. ``relaxed``: without waiting for the disk.

    Raises LeaseLost.
    """
    look = decided or Look()
    values = {
        **_parameters(lease, action.task, writes),
        **dict(zip(("ats", "kinds", "principals", "audited", "bodies"), audit_columns(audit), strict=True)),
        **action.who,
        "decided": decided is not None,
        "relaxed": relaxed,
        "stop_epoch": look.stop.epoch,
        "role": look.role.value if look.role else None,
        "charges": encoded(payment.charges, lease.run_id),
        "charged_at": payment.at if payment.charges else None,
    }
    row = await together.run(lease.run_id, sql.WRITE, values, apart=bool(payment.charges))
    assert row is not None
    now, some_away = Look.of_row(row), bool(row[9])
    if row[8]:
        return Written(False, now, over_of(payment.charges, _rows(row[8])), some_away)
    if not row[6] and (decided is None or (now.stop.epoch, now.role) == (look.stop.epoch, look.role)):
        raise LeaseLost(f"run {lease.run_id} is held by another worker")
    return Written(bool(row[6]), now, [], some_away)


def _rows(charged: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """The rows of ``safety_charge`` from their JSON."""
    return [
        (
            row["place"],
            row["granted"],
            row["used"],
            datetime.fromisoformat(row["free_at"]) if row["free_at"] else None,
            row["news"],
        )
        for row in charged
    ]


def is_ordinary(lease: Lease, release: Release) -> bool:
    """Whether nothing else can follow from this end: ``end`` may be tried."""
    return (
        release.state in FINAL
        and release.state is not RunState.CANCELLED
        and lease.shard_of is None
        and not release.handed_over
    )


async def end(together: Together, lease: Lease, task: str, release: Release) -> bool:
    """End the run. False when nothing was written: the lease is lost, or it is no ordinary end after all."""
    change = run_changed(lease.run_id, task, release.state, None, release.reason)
    values = {
        **_parameters(lease, task, release.writes, [change]),
        "state": release.state.value,
        "reason": plain_text(release.reason)[:1000],
        "warning": plain_text(release.warning)[:1000],
        "relaxed": False,
    }
    row = await together.run(lease.run_id, sql.END, values)
    return bool(row and row[0])


def _parameters(
    lease: Lease, task: str, writes: Sequence[StepWrite], more: Sequence[Event] = ()
) -> dict[str, Any]:
    events: list[Event] = [] if lease.shard_of else [change_of(lease, task, one) for one in writes]
    types, subjects, datas = event_columns([*events, *more])
    return {
        **lease.parameters,
        "steps": _ENCODER.encode([step_values(one) for one in writes]),
        "types": types,
        "subjects": subjects,
        "datas": datas,
    }
