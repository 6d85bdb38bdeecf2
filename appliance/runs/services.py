"""Use cases of runs for pages, commands and other areas: start, cancel, start again, settle what is unclear."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from psycopg.types.json import Jsonb

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.audit.services import AuditEntry, append
from appliance.events import OccurrenceRecorded, RunChanged
from appliance.events.services import record
from appliance.lib.errors import MillwrightError
from appliance.lib.identity import uuid7, uuid_at
from appliance.lib.jsontypes import JsonObject
from appliance.lib.said import say
from appliance.runs import hints, origins, sql
from appliance.runs.admission import admit
from appliance.runs.admission_sql import HOLD_BACK
from appliance.runs.asking import answer
from appliance.runs.called import end_called
from appliance.runs.changes import run_changed
from appliance.runs.domain import FINAL, RunState, StepState, Waiting
from appliance.runs.given import taken
from appliance.runs.growing import begun_by_hand
from appliance.runs.models import Run
from appliance.safety.policy.origins import started_by
from appliance.safety.policy.vocabulary import Origin
from appliance.safety.read_only import refuse_changes
from appliance.tasks.definition import TaskDefinition
from appliance.tasks.firing import insert_occurrence, occurrence_refused
from appliance.tasks.models import Occurrence, OccurrenceState, Task
from appliance.tasks.ports import Admission, NewRun
from appliance.tasks.services import definition_of, find

HELD = "it is held for what a run of it did, until a person switches it on again"


class RunNotFound(MillwrightError):
    code = "runs.not_found"


class NotNow(MillwrightError):
    """The run is not in a state in which this can be asked of it."""

    code = "runs.not_now"


class NotAdmitted(NotNow):
    """The task's own rules (``limit``, ``overlap``) do not let it run now; an occurrence says so too."""

    code = "runs.not_admitted"


def insert_run(new: NewRun) -> Admission:
    """Write a run in Django's current transaction, where its task's limit and overlap let it run.

    Queued, or waiting for its turn. An existing id is left as it is (P2). A task that is held runs by no way.
    """
    if Task.objects.filter(pk=new.task_id, held=True).exists():
        return Admission(OccurrenceState.SUPPRESSED, HELD)
    with connection.cursor() as cursor:
        (admission,) = answer(cursor, admit([new]))
        if admission.runs:
            cursor.execute(sql.INSERT_RUN, run_parameters(new, datetime.now(UTC)))
            if admission.waits:
                cursor.execute(HOLD_BACK, {"id": new.id})
            record(cursor, run_wanted(new, admission))
    return admission


def run_wanted(new: NewRun, admission: Admission) -> RunChanged:
    """The first event of a run that was let in."""
    state, waiting = (RunState.WAITING, Waiting.TURN) if admission.waits else (RunState.QUEUED, None)
    return run_changed(
        new.id, new.definition.name, state, waiting, admission.reason or new.reason, new.principal
    )


def run_parameters(new: NewRun, now: datetime) -> dict[str, Any]:
    timeout = new.definition.timeout
    return {
        "id": new.id,
        "task_id": new.task_id,
        "version_id": new.version_id,
        "occurrence_id": new.occurrence_id,
        "parent_run_id": new.parent_run_id,
        "forked_from": new.forked_from,
        "forked_at_step": new.forked_at_step,
        "principal": new.principal,
        "origin": new.origin,
        "trigger": new.trigger,
        "priority": new.definition.priority.rank,
        "inputs": Jsonb(origins.kept(new)),
        "deadline": now + timeout if timeout else None,
        "reason": new.reason[:1000],
    }


def start_task(
    name: str,
    by: Principal,
    now: datetime,
    *,
    inputs: JsonObject | None = None,
    origin: str = "",
    trigger: str = "",
    reason: str = "",
    key: str = "",
) -> UUID:
    """Start a task now, by a person or another program: an occurrence and a queued run, committed together.

    Without an ``origin`` it is that of ``by``: ``api`` of a token, ``mqtt`` of the broker's account, else ``manual``.
    With a ``key`` the same call made twice (a message handled again after a crash, with the same ``now``)
    starts one run. Raises NotAllowed, TaskNotFound, NotNow, ReadOnlyNow, InputsNotTaken, and NotAdmitted where the
    task's limit or overlap says no.
    """
    refuse_changes(by)
    by.require(Ability.RUN_TASKS, task=name)
    task = find(name)
    if task.current is None:
        raise NotNow(say("the task %(task)r has no version yet", task=name))
    origin, also = (origin, ()) if origin else started_by(by.name)
    refuse_switched_off(task, origin)
    definition = definition_of(task.current)
    given = taken(definition, inputs or {})
    with transaction.atomic():
        run_id, refused = _fire(task, definition, by, now, given, origin, also, trigger, reason, key)
    if refused:
        raise NotAdmitted(say("the task %(task)r does not run now: %(why)s", task=name, why=refused))
    hints.look_at([run_id])
    return run_id


def refuse_switched_off(task: Task, origin: str) -> None:
    """Raises NotNow: what is switched off is started by a person's own hand alone, and by no program in their name."""
    if not task.enabled and origin != Origin.MANUAL:
        raise NotNow(
            say("the task %(task)r is switched off", task=task.name),
            hint=say("switch it on, or start it by hand: on its page, or on the command line"),
        )


def _fire(
    task: Task,
    definition: TaskDefinition,
    by: Principal,
    now: datetime,
    inputs: JsonObject,
    origin: str,
    also: tuple[str, ...],
    trigger: str,
    reason: str,
    key: str,
) -> tuple[UUID, str]:
    """The run, and why there is none."""
    run_id, occurrence_id = (
        (uuid_at(now, "run", task.name, key), uuid_at(now, "occurrence", task.name, key))
        if key
        else (uuid7(), uuid7())
    )
    if not insert_occurrence(
        occurrence_id=occurrence_id,
        task_id=task.pk,
        trigger=trigger or origin,
        due_at=now,
        state=OccurrenceState.FIRED,
        reason=reason,
        event=inputs,
        run_id=run_id,
    ):
        before = Occurrence.objects.get(pk=occurrence_id)
        return run_id, "" if before.run_id else before.reason
    admission = insert_run(
        NewRun(
            id=run_id,
            task_id=task.pk,
            version_id=task.current_id or 0,
            definition=definition,
            principal=by.name,
            origin=origin,
            also=also,
            trigger=trigger or origin,
            inputs=inputs,
            reason=reason or f"started by {by.name}",
            occurrence_id=occurrence_id,
            wanted_at=now,
        )
    )
    if not admission.runs:
        occurrence_refused(occurrence_id, admission)
    refused = "" if admission.runs else admission.reason
    fired = OccurrenceRecorded(
        occurrence_id=str(occurrence_id),
        task=definition.name,
        trigger=trigger or origin,
        state=admission.state.value,
        reason=refused,
        run_id=str(run_id) if admission.runs else "",
    )
    whence = origins.on_record(origin, also)
    entry = (
        AuditEntry("run.refused", by.name, task.name, {**whence, "reason": refused})
        if refused
        else AuditEntry("run.started", by.name, str(run_id), {**whence, "task": task.name})
    )
    with connection.cursor() as cursor:
        record(cursor, fired)
        append(cursor, [entry])
    return run_id, refused


def get(run_id: UUID) -> Run:
    """Raises RunNotFound."""
    run = Run.objects.filter(pk=run_id).first()
    if run is None:
        raise RunNotFound(say("there is no run %(run)s", run=run_id))
    return run


def task_name(run: Run) -> str:
    return Task.objects.filter(pk=run.task_id).values_list("name", flat=True).first() or "deleted task"


def get_for(run_id: UUID, by: Principal, ability: Ability) -> Run:
    """The run, where ``by`` may do this to runs of its task. Raises RunNotFound, NotAllowed."""
    run = get(run_id)
    by.require(ability, task=task_name(run))
    return run


def cancel(run_id: UUID, by: Principal) -> None:
    """End a run: at once when it waits, within a moment (and with its whole process tree) when it runs.

    The runs that it has called and waits for end with it. Raises RunNotFound, NotAllowed, NotNow,
    ReadOnlyNow.
    """
    refuse_changes(by)
    run = get_for(run_id, by, Ability.CANCEL_RUNS)
    name, reason = task_name(run), f"cancelled by {by.name}"
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            sql.END_WITHOUT_LEASE, {"id": run_id, "state": RunState.CANCELLED.value, "reason": reason}
        )
        ended = cursor.fetchone()
        if ended is not None:
            if ended[2] is not None:
                cursor.execute(sql.WAKE_CALLER, {"id": ended[2]})
            cursor.execute(sql.END_STEPS, {"ids": [run_id]})
            record(cursor, run_changed(run_id, name, RunState.CANCELLED, None, reason, by.name))
        else:
            cursor.execute(sql.REQUEST_CANCEL, {"id": run_id, "reason": reason})
            if cursor.fetchone() is None:
                raise NotNow(
                    say("run %(run)s has ended already: it is %(state)s", run=run_id, state=get(run_id).state)
                )
        append(cursor, [AuditEntry("run.cancel", by.name, str(run_id), {"task": name})])
    # After that commit: no lock of this run is held while those of the called ones are taken.
    hints.look_at([run_id, *end_called(run_id, reason)])


def start_again(run_id: UUID, by: Principal, now: datetime) -> UUID:
    """A new run of the same version with the same inputs; the old run and its history stay as they are."""
    refuse_changes(by)
    old = get_for(run_id, by, Ability.RUN_TASKS)
    if RunState(old.state) not in FINAL:
        raise NotNow(f"run {run_id} has not ended yet: it is {old.state}")
    if old.split_id is not None:
        raise NotNow(f"run {run_id} is a shard of run {old.parent_run_id}: run that one again")
    task = Task.objects.select_related("current").get(pk=old.task_id)
    version = task.versions.get(pk=old.version_id)
    origin, also = origins.started_again(old, by.name)
    refuse_switched_off(task, origin)
    new_id = uuid7()
    with transaction.atomic():
        admission = insert_run(
            NewRun(
                id=new_id,
                task_id=old.task_id,
                version_id=old.version_id,
                definition=definition_of(version),
                principal=by.name,
                origin=origin,
                also=also,
                trigger=old.trigger,
                inputs=begun_by_hand(old.inputs),
                reason=f"run {old.id} again, by {by.name}",
                forked_from=old.id,
            )
        )
        if not admission.runs:
            raise NotAdmitted(
                say("the task %(task)r does not run now: %(why)s", task=task.name, why=admission.reason)
            )
        entry = AuditEntry("run.again", by.name, str(new_id), {"task": task.name, "of": str(old.id)})
        with connection.cursor() as cursor:
            append(cursor, [entry])
    hints.look_at([new_id])
    return new_id


def settle(run_id: UUID, happened: bool, by: Principal) -> None:
    """A person says what became of an ambiguous step: it took effect (go on), or it did not (it failed)."""
    refuse_changes(by)
    run = get_for(run_id, by, Ability.CANCEL_RUNS)
    if run.state != RunState.WAITING or run.waiting_for != Waiting.AMBIGUOUS:
        raise NotNow(f"run {run_id} has nothing to settle: it is {run.state} {run.waiting_for}".rstrip())
    state = StepState.SUCCEEDED if happened else StepState.FAILED
    said = f"{by.name} says it {'took' if happened else 'did not take'} effect"
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            sql.RESOLVE_STEP, {"run_id": run_id, "state": state.value, "error": "" if happened else said}
        )
        cursor.execute(sql.WAKE_ONE, {"id": run_id, "waiting_for": Waiting.AMBIGUOUS.value})
        if cursor.fetchone() is None:
            raise NotNow(f"run {run_id} changed meanwhile")
        record(cursor, run_changed(run_id, task_name(run), RunState.QUEUED, None, said, by.name))
        append(cursor, [AuditEntry("run.settled", by.name, str(run_id), {"happened": happened})])
    hints.look_at([run_id])
