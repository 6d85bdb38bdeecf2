"""From what is due to occurrences and runs. Each due time gives exactly one row, whatever restarts (P2)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q
from psycopg.types.json import Jsonb

from appliance.events import OccurrenceRecorded
from appliance.events.services import record_many
from appliance.lib.crashpoints import reach
from appliance.lib.identity import uuid_at
from appliance.tasks import sql
from appliance.tasks.definition import TaskDefinition, Trigger
from appliance.tasks.models import Occurrence, OccurrenceState, TaskTrigger
from appliance.tasks.ports import Admission, NewRun, RunStarter
from appliance.tasks.questions import ask
from appliance.tasks.schedule import due_times, next_due
from appliance.tasks.services import TIME_KINDS, definition_of

GRACE = timedelta(seconds=60)
"""A due time that is looked at no later than this was on time; a later one was missed."""

MOST_MADE_UP = 100
"""Missed times that ``run_all`` runs, and that ``ask`` asks about: the newest ones."""

MOST_MISSED = 10_000
"""Missed rows written for one trigger at once; the oldest beyond it are only counted."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of each due time. Runs ``in_turn`` come one after another."""

    rows: list[tuple[datetime, OccurrenceState, str]] = field(default_factory=list)
    run_for: list[tuple[datetime, str]] = field(default_factory=list)
    in_turn: frozenset[datetime] = frozenset()
    ask_for: list[datetime] = field(default_factory=list)


def decide(
    dues: list[datetime], now: datetime, misfire: str, valid_for: timedelta | None, late_reason: str
) -> Decision:
    """Pure: on-time ones fire; of the missed ones the task's misfire policy picks what still runs.

    ``run_once`` runs the newest missed time, unless an on-time one fires anyway or it is older than
    ``valid_for``. ``run_all`` runs, and ``ask`` asks about, those not older than ``valid_for``.
    """
    missed = [due for due in dues if now - due > GRACE]
    on_time = [due for due in dues if now - due <= GRACE]
    run_for: list[tuple[datetime, str]] = []
    valid = [due for due in missed if valid_for is None or now - due <= valid_for]
    wanted = valid[-MOST_MADE_UP:] if misfire in ("run_all", "ask") else []
    reasons = dict.fromkeys(missed, late_reason)
    if misfire in ("run_all", "ask"):
        reasons |= {due: f"{late_reason}; too late by now" for due in missed if due not in set(valid)}
        beyond = f"{late_reason}; older than the newest {MOST_MADE_UP}"
        reasons |= dict.fromkeys(valid[: len(valid) - len(wanted)], beyond)
    if misfire == "run_all":
        run_for = [(due, f"made up for, {n} of {len(wanted)}") for n, due in enumerate(wanted, start=1)]
    elif misfire == "run_once" and missed and not on_time and missed[-1] in valid:
        run_for = [(missed[-1], f"made up for {len(missed)} missed time(s)")]
    return Decision(
        rows=[(due, OccurrenceState.MISSED, reasons[due]) for due in missed]
        + [(due, OccurrenceState.FIRED, "") for due in on_time],
        run_for=run_for + [(due, "") for due in on_time],
        in_turn=frozenset(wanted) if misfire == "run_all" else frozenset(),
        ask_for=wanted if misfire == "ask" else [],
    )


def fire_due(task_id: int, trigger_id: str, now: datetime, start: RunStarter) -> list[UUID]:
    """Record every due time since the last look, and start what is to run. Gives the new runs.

    The trigger's row is locked, so that two doors at once write each due time once; the occurrence's
    primary key holds even without the lock.
    """
    with transaction.atomic():
        row = (
            TaskTrigger.objects.select_for_update(of=("self",))
            .select_related("task__current")
            .filter(task_id=task_id, trigger=trigger_id, active=True, kind__in=TIME_KINDS)
            .first()
        )
        if row is None or row.task.current is None or row.last_due is None:
            return []
        definition = definition_of(row.task.current)
        trigger = next((t for t in definition.triggers if t.id == trigger_id), None)
        if trigger is None:
            return []
        dues = due_times(trigger, row.last_due, now, MOST_MISSED)
        if not dues:
            if row.next_due is None:
                row.next_due = next_due(trigger, row.last_due)
                row.save(update_fields=["next_due"])
            return []
        # A long outage comes in chunks, oldest first: only the last of them may have something made up for.
        following = next_due(trigger, dues[-1]) if len(dues) == MOST_MISSED else None
        misfire = "skip" if following is not None and following <= now else definition.misfire
        decision = decide(dues, now, misfire, definition.valid_for, "the box was not running then")
        runs = _write(row, definition, trigger, decision, now, start)
        row.last_due, row.last_fired_at = dues[-1], now
        row.next_due = next_due(trigger, dues[-1])
        row.fired += len(runs)
        row.save(update_fields=["last_due", "next_due", "fired", "last_fired_at"])
        if decision.ask_for:
            ask(row, definition, decision.ask_for, now)
        reach("schedule.before_commit")
    reach("schedule.after_commit")
    return runs


def due_triggers(now: datetime) -> list[tuple[int, str]]:
    """Every time trigger whose next due time has come or is not known: what the safety net looks at."""
    come = Q(next_due__lte=now) | Q(next_due=None, kind__in=("cron", "every"))
    return list(TaskTrigger.objects.filter(come, active=True).values_list("task_id", "trigger"))


def _write(
    row: TaskTrigger,
    definition: TaskDefinition,
    trigger: Trigger,
    decision: Decision,
    now: datetime,
    start: RunStarter,
) -> list[UUID]:
    to_run = dict(decision.run_for)
    runs: list[UUID] = []
    events = []
    for due, state, reason in decision.rows:
        run_id = uuid_at(due, "run", str(row.task_id), row.trigger) if due in to_run else None
        occurrence_id = uuid_at(due, "occurrence", str(row.task_id), row.trigger)
        inserted = insert_occurrence(
            occurrence_id=occurrence_id,
            task_id=row.task_id,
            trigger=row.trigger,
            due_at=due,
            state=state,
            reason=to_run.get(due) or reason,
            event={"due_at": due.isoformat()},
            run_id=run_id,
        )
        if not inserted:
            continue
        reach("schedule.after_occurrence")
        if run_id is not None:
            admission = start(
                NewRun(
                    id=run_id,
                    task_id=row.task_id,
                    version_id=row.task.current_id or 0,
                    definition=definition,
                    principal=f"trigger:{definition.name}/{row.trigger}",
                    origin=row.kind,
                    trigger=row.trigger,
                    inputs={"event": {"type": row.kind, "due_at": due.isoformat()}},
                    reason=to_run[due] or f"{row.kind} was due",
                    occurrence_id=occurrence_id,
                    in_turn=due in decision.in_turn,
                    wanted_at=now,
                )
            )
            if admission.runs:
                runs.append(run_id)
            else:
                occurrence_refused(occurrence_id, admission)
                state, reason, run_id = admission.state, admission.reason, None
        events.append(
            OccurrenceRecorded(
                occurrence_id=str(occurrence_id),
                task=definition.name,
                trigger=row.trigger,
                state=state.value,
                reason=reason,
                run_id=str(run_id or ""),
            )
        )
    with connection.cursor() as cursor:
        record_many(cursor, events)
    return runs


def occurrence_refused(occurrence_id: UUID, admission: Admission) -> None:
    """The run of an occurrence just inserted was not let in: say so in the same transaction."""
    Occurrence.objects.filter(pk=occurrence_id).update(
        state=admission.state.value, reason=admission.reason[:500], run_id=None
    )


def insert_occurrence(
    *,
    occurrence_id: UUID,
    task_id: int,
    trigger: str,
    due_at: datetime,
    state: OccurrenceState,
    reason: str,
    event: Mapping[str, Any],
    run_id: UUID | None,
) -> bool:
    """Insert one occurrence in Django's current transaction; False when it exists already."""
    values: dict[str, Any] = {
        "id": occurrence_id,
        "task_id": task_id,
        "trigger": trigger,
        "due_at": due_at,
        "state": state.value,
        "reason": reason[:500],
        "event": Jsonb(dict(event)),
        "run_id": run_id,
    }
    with connection.cursor() as cursor:
        cursor.execute(sql.INSERT_OCCURRENCE, values)
        return cursor.fetchone() is not None
