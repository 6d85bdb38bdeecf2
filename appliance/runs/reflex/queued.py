"""Runs for the worker lane as the group commit writes them, beside those of its own: pure."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from appliance.events import Event
from appliance.runs.admission import ADMITTED
from appliance.runs.domain import RunState
from appliance.runs.fired import events_of
from appliance.runs.reflex.choice import LaneName
from appliance.tasks.ports import NewRun


def occurrence_of(run: NewRun, at: datetime) -> dict[str, Any]:
    """Of a run of either lane."""
    return {
        "id": run.occurrence_id,
        "task_id": run.task_id,
        "trigger": run.trigger,
        "due_at": at,
        "reason": run.reason[:500],
        "event": run.inputs,
        "run_id": run.id,
        "version_id": run.version_id,
    }


def queued_row(run: NewRun) -> dict[str, Any]:
    """The run as it waits for its worker; the function gives it the inputs of its occurrence."""
    timeout = run.definition.timeout
    return {
        "id": run.id,
        "task_id": run.task_id,
        "version_id": run.version_id,
        "occurrence_id": run.occurrence_id,
        "lane": LaneName.WORKER.value,
        "state": RunState.QUEUED.value,
        "waiting_for": "",
        "reason": run.reason[:1000],
        "warning": "",
        "principal": run.principal,
        "origin": run.origin,
        "trigger": run.trigger,
        "priority": run.definition.priority.rank,
        "wake_at": None,
        "deadline": run.wanted_at + timeout if timeout else None,
        "created_at": run.wanted_at,
        "finished_at": None,
    }


def queued_events(run: NewRun) -> Iterable[Event]:
    """That its trigger fired, and that it waits."""
    return events_of([(run, ADMITTED)])
