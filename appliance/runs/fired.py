"""What a fired trigger becomes: a run to be, its occurrence's row, events that tell of both; and the receipt."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from appliance.bus.ports import Delivery
from appliance.events import Event, OccurrenceRecorded
from appliance.lib.crashpoints import reach
from appliance.lib.identity import uuid7
from appliance.lib.plain import plain_object
from appliance.runs.followers import identity_of
from appliance.runs.origins import handed
from appliance.runs.services import run_wanted
from appliance.tasks.matching import Fired, Refused
from appliance.tasks.ports import Admission, NewRun


def marked(decision: Fired | Refused) -> Fired | Refused:
    """The broker sends it a second time: it may have been taken the first time, just before a crash."""
    if isinstance(decision, Refused):
        return decision
    event = decision.inputs.get("event")
    marked = {**(event if isinstance(event, dict) else {}), "redelivered": True}
    return replace(
        decision, inputs={**decision.inputs, "event": marked}, reason=f"{decision.reason}, sent again"
    )


def new_run(fired: Fired, now: datetime) -> NewRun:
    armed = fired.armed
    event = fired.inputs.get("event")
    chain = event.get("chain") if isinstance(event, dict) else None
    depth = chain + 1 if isinstance(chain, int) else 0
    return NewRun(
        id=uuid7(),
        task_id=armed.task_id,
        version_id=armed.version_id,
        definition=armed.definition,
        principal=f"trigger:{armed.definition.name}/{armed.trigger.id}",
        origin=armed.trigger.kind,
        trigger=armed.trigger.id or "",
        inputs={**plain_object(fired.inputs), "chain": depth},
        reason=fired.reason,
        also=handed(fired.inputs),
        occurrence_id=identity_of(fired) or uuid7(),
        wanted_at=now,
    )


def occurrence_row(run: NewRun, admission: Admission, now: datetime) -> dict[str, Any]:
    return {
        "id": run.occurrence_id,
        "task_id": run.task_id,
        "trigger": run.trigger,
        "due_at": now,
        "state": admission.state.value,
        "reason": (run.reason if admission.runs else admission.reason)[:500],
        "event": Jsonb(run.inputs),
        "run_id": run.id if admission.runs else None,
    }


def events_of(seen: Sequence[tuple[NewRun, Admission]]) -> list[Event]:
    events: list[Event] = []
    for run, admission in seen:
        events.append(
            OccurrenceRecorded(
                occurrence_id=str(run.occurrence_id),
                task=run.definition.name,
                trigger=run.trigger,
                state=admission.state.value,
                reason="" if admission.runs else admission.reason,
                run_id=str(run.id) if admission.runs else "",
            )
        )
        if admission.runs:
            events.append(run_wanted(run, admission))
    return events


def acknowledge(deliveries: Sequence[Delivery]) -> None:
    """Tell the broker that these are ours."""
    for delivery in deliveries:
        reach("intake.before_ack")
        delivery.ack()
    reach("intake.after_ack")
