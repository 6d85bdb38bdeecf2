"""What a person may ask of a run that has ended: to go on from a step as a new run."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.actions.contract import EffectClass
from appliance.audit.services import AuditEntry, append
from appliance.events.services import record
from appliance.lib.identity import uuid7
from appliance.lib.jsontypes import JsonObject
from appliance.runs import admission_sql as lines
from appliance.runs import hints, resume_sql, sql
from appliance.runs.changes import run_changed
from appliance.runs.domain import FINAL, RunState, StepState, Waiting
from appliance.runs.fork import Fork, ForkRefused, WouldRepeat, fork_at
from appliance.runs.growing import begun_by_hand
from appliance.runs.models import Checkpoint, Run, Step
from appliance.runs.origins import started_again
from appliance.runs.plan import Phase, StepRow
from appliance.runs.services import (
    NotAdmitted,
    NotNow,
    get,
    get_for,
    insert_run,
    refuse_switched_off,
    task_name,
)
from appliance.runs.shards.body import TAKEN_BACK
from appliance.runs.shards.taking_over import fork_of, promise
from appliance.safety.read_only import refuse_changes
from appliance.tasks.definition import TaskDefinition
from appliance.tasks.definition.task import DefinitionError
from appliance.tasks.models import Task, TaskVersion
from appliance.tasks.ports import NewRun
from appliance.tasks.services import definition_of


@dataclass(frozen=True, slots=True)
class Resume:
    """Where to go on: from ``step``, from a kept ``checkpoint`` of the run, or from where it stopped.

    ``vars`` are seen by the steps from there on. ``repeat_unsafe``: the person has said that steps which took
    effect, or may have, are to be performed a second time.
    """

    step: str = ""
    checkpoint: int | None = None
    vars: JsonObject | None = None
    repeat_unsafe: bool = False


def resume(run_id: UUID, by: Principal, wanted: Resume) -> UUID:
    """Start a run that shares what is finished of this one.

    The old run's history stays as it is. One that waits for an answer about an unclear step is ended, as
    nobody has to answer that any more. Raises NotAllowed, NotNow, ForkRefused, WouldRepeat, ReadOnlyNow, and
    NotAdmitted where the task's limit or overlap says no.
    """
    refuse_changes(by)
    get_for(run_id, by, Ability.RUN_TASKS)
    new_id = uuid7()
    with transaction.atomic():
        _lock_task(run_id)
        old = locked(run_id)
        check_whole(old)
        definition = pinned(old)
        kept = _checkpoint(run_id, wanted)
        _refuse_taken_back(run_id)
        fork = fork_of(run_id, definition, known_rows(old), wanted.step or (kept.step if kept else ""))
        if kept is not None and kept.step != fork.step:
            raise ForkRefused(f"checkpoint {kept.number} is of step {kept.step}, not of {fork.step}")
        _check_repeats(fork, wanted)
        inputs = _inputs(old, definition, wanted.vars or {})
        if old.state == RunState.WAITING:
            # First: it may be the one that stands in the way of its own successor.
            _end_waiting(old, new_id, by)
        _insert(old, definition, fork, new_id, by, inputs, kept)
    hints.look_at([new_id])
    return new_id


def _refuse_taken_back(run_id: UUID) -> None:
    """Nothing can be built on what an agent did and people took back. Raises ForkRefused."""
    inside = Run.objects.filter(parent_run_id=run_id, split_id__isnull=False, inputs__has_key=TAKEN_BACK)
    if inside.exists():
        raise ForkRefused("what an agent did in this run was taken back", hint="run the task again")


def _lock_task(run_id: UUID) -> None:
    """Before any run is locked, as admission does: two people who lock in another order could wait for each other."""
    with connection.cursor() as cursor:
        cursor.execute(lines.LOCK_TASK, {"task_id": get(run_id).task_id})


def locked(run_id: UUID) -> Run:
    """The run, locked: a receipt that comes now either is seen here or sees the fork."""
    with connection.cursor() as cursor:
        cursor.execute(sql.LOCK_RUN, {"id": run_id})
    return get(run_id)


def check_ended(run: Run) -> None:
    """One that waits for an answer about an unclear step counts as ended. Raises NotNow."""
    unclear_now = run.state == RunState.WAITING and run.waiting_for == Waiting.AMBIGUOUS
    if RunState(run.state) not in FINAL and not unclear_now:
        raise NotNow(f"run {run.pk} has not ended yet: it is {run.state}", hint="cancel it first")


def check_whole(run: Run) -> None:
    """Raises NotNow for one that has not ended, and for a shard."""
    check_ended(run)
    if run.split_id is not None:
        raise NotNow(f"run {run.pk} is a shard of run {run.parent_run_id}", hint="ask this of that run")


def _check_repeats(fork: Fork, wanted: Resume) -> None:
    if fork.repeats and not wanted.repeat_unsafe:
        raise WouldRepeat(
            f"this would do again what was done or may have been done: {', '.join(fork.repeats)}",
            hint="say so explicitly (--repeat-unsafe), or go on from a later step",
        )


def pinned(run: Run) -> TaskDefinition:
    """The definition that this run was started with. Raises ForkRefused."""
    return definition_in(TaskVersion.objects.filter(pk=run.version_id).first())


def definition_in(version: TaskVersion | None) -> TaskDefinition:
    """Raises ForkRefused where the version is gone, or cannot be read any more."""
    if version is None:
        raise ForkRefused("the version of the task that this run pinned is gone")
    try:
        return definition_of(version)
    except DefinitionError as error:
        raise ForkRefused(f"the version that this run pinned cannot be read: {error.message}") from error


def _checkpoint(run_id: UUID, wanted: Resume) -> Checkpoint | None:
    """The named checkpoint. Where neither it nor a step is named, the newest of the step that stopped."""
    known = Checkpoint.objects.filter(run_id=run_id).defer("content").order_by("-number")
    if wanted.checkpoint is not None:
        found = known.filter(number=wanted.checkpoint).first()
        if found is None:
            numbers = ", ".join(str(one.number) for one in known) or "none"
            raise ForkRefused(
                f"run {run_id} has no checkpoint {wanted.checkpoint}", hint=f"kept here: {numbers}"
            )
        return found
    if wanted.step:
        return None
    stopped = fork_at(pinned(get(run_id)), rows_of(run_id)).step
    return known.filter(step=stopped).first()


def known_rows(run: Run) -> list[StepRow]:
    """What the run did. Raises ForkRefused where that is not known: nobody could say what would be done twice."""
    rows = rows_of(run.pk)
    if is_forgotten(run, rows):
        raise ForkRefused(
            "what this run did is not known: it has no steps", hint="look at its effects, then start it anew"
        )
    return rows


def is_forgotten(run: Run, rows: Sequence[StepRow]) -> bool:
    """It was begun, and nothing tells what it did."""
    return not rows and run.started_at is not None


def _inputs(old: Run, definition: TaskDefinition, changed: JsonObject) -> JsonObject:
    unknown = sorted(changed.keys() - definition.vars.keys())
    if unknown:
        known = ", ".join(sorted(definition.vars)) or "none"
        raise ForkRefused(f"the task has no variable {unknown[0]!r}", hint=f"its vars: {known}")
    given = old.inputs.get("vars")
    return {**begun_by_hand(old.inputs), **({"vars": {**(given or {}), **changed}} if changed else {})}


def _insert(
    old: Run,
    definition: TaskDefinition,
    fork: Fork,
    new_id: UUID,
    by: Principal,
    inputs: JsonObject,
    kept: Checkpoint | None,
) -> None:
    origin, also = started_again(old, by.name)
    refuse_switched_off(Task.objects.get(pk=old.task_id), origin)
    admission = insert_run(
        NewRun(
            id=new_id,
            task_id=old.task_id,
            version_id=old.version_id,
            definition=definition,
            principal=by.name,
            origin=origin,
            also=also,
            trigger=old.trigger,
            inputs=inputs,
            reason=f"run {old.pk} from step {fork.step} on, by {by.name}",
            forked_from=old.pk,
            forked_at_step=fork.step,
        )
    )
    if not admission.runs:
        raise NotAdmitted(f"the task {definition.name!r} does not run now: {admission.reason}")
    detail: JsonObject = {
        "task": definition.name,
        "of": str(old.pk),
        "step": fork.step,
        "shared": [row.step for row in fork.shared],
        "repeats": list(fork.repeats),
        "shards": fork.shards.done if fork.shards else None,
        "vars": inputs.get("vars"),
        "checkpoint": kept.number if kept else None,
    }
    with connection.cursor() as cursor:
        values: dict[str, Any] = {
            "old": [old.pk] * len(fork.shared),
            "new": [new_id] * len(fork.shared),
            "steps": [row.step for row in fork.shared],
            "attempts": [row.attempt for row in fork.shared],
        }
        cursor.execute(resume_sql.SHARE_STEPS, values)
        if kept is not None:
            cursor.execute(resume_sql.SHARE_CHECKPOINT, {"new": new_id, "old": old.pk, "number": kept.number})
        append(cursor, [AuditEntry("run.resumed", by.name, str(new_id), detail)])
    promise(new_id, fork)


def _end_waiting(old: Run, new_id: UUID, by: Principal) -> None:
    reason = f"goes on as run {new_id}, by {by.name}"
    with connection.cursor() as cursor:
        cursor.execute(
            sql.END_WITHOUT_LEASE, {"id": old.pk, "state": RunState.CANCELLED.value, "reason": reason}
        )
        ended = cursor.fetchone()
        if ended is None:
            raise NotNow(f"run {old.pk} changed meanwhile")
        if ended[2] is not None:
            cursor.execute(sql.WAKE_CALLER, {"id": ended[2]})
        record(cursor, run_changed(old.pk, task_name(old), RunState.CANCELLED, None, reason, by.name))


def rows_of(run_id: UUID) -> list[StepRow]:
    """The steps of a run as the plan reads them."""
    return as_rows(Step.objects.filter(run_id=run_id).order_by("position", "attempt"))


def as_rows(steps: Iterable[Step]) -> list[StepRow]:
    """In the same order, which is that of position and attempt."""
    return [
        StepRow(
            step=row.step,
            attempt=row.attempt,
            position=row.position,
            phase=Phase(row.phase),
            effect=EffectClass(row.effect),
            state=StepState(row.state),
            output=row.output,
            stderr=row.stderr,
            error=row.error,
            checkpoint=row.checkpoint,
            due_at=row.due_at,
            shared_from=row.shared_from,
        )
        for row in steps
    ]
