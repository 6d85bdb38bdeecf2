"""Taking back what a run did: the whole, or of one whose steps have grown those that a person names."""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.audit.services import AuditEntry, append
from appliance.events.services import record
from appliance.runs import hints, resume_sql
from appliance.runs.changes import run_changed
from appliance.runs.domain import FINAL, RunState
from appliance.runs.ended import check_ended, check_whole, locked, pinned, rows_of
from appliance.runs.models import Run
from appliance.runs.plan import Progress, StepRow, has_acted, unclear
from appliance.runs.services import NotNow, get, get_for, task_name
from appliance.runs.shards.body import asked_back, grows, own_definition
from appliance.safety.read_only import refuse_changes
from appliance.tasks.definition import TaskDefinition

Choose = Callable[[str], bool]


def undo(run_id: UUID, by: Principal) -> None:
    """Take back what this run did, last step first. Raises NotNow where there is nothing to, ReadOnlyNow.

    It stands in nobody's line: what was done is taken back whatever the task does meanwhile.
    """
    refuse_changes(by)
    get_for(run_id, by, Ability.RUN_TASKS)
    with transaction.atomic():
        run = locked(run_id)
        check_whole(run)
        if run.state == RunState.UNDONE:
            raise NotNow(f"run {run_id} is undone already")
        steps = undoable(pinned(run), rows_of(run_id))
        if not steps:
            raise NotNow(
                f"nothing of run {run_id} can be taken back",
                hint="only a step that took effect here and has `undo:` can be",
            )
        _request(run, by, steps, f"to be undone, by {by.name}")
    hints.look_at([run_id])


def take_back(run_id: UUID, by: Principal, wanted: Choose = lambda step: True) -> tuple[str, ...]:
    """Undo the steps of this run for which ``wanted``, the last one first; gives them.

    The run is that of a step whose steps grow, and has ended, as has the one around it: what comes after a step counts
    on what it did. Each undo passes the gate as an act of ``by``. Raises NotNow where there is nothing to take back,
    RunNotFound, NotAllowed, ReadOnlyNow.
    """
    refuse_changes(by)
    get_for(run_id, by, Ability.RUN_TASKS)
    with transaction.atomic():
        run = locked(run_id)
        _check_grown(run)
        steps = takes_back(pinned(run), run, rows_of(run_id), wanted)
        if not steps:
            raise NotNow(
                "nothing of this can be taken back",
                hint="only what took effect and says how it is undone can be",
            )
        _request(run, by, steps, f"to be undone, by {by.name}: {', '.join(steps)}")
    hints.look_at([run_id])
    return steps


def takes_back(
    definition: TaskDefinition, run: Run, rows: Sequence[StepRow], wanted: Choose = lambda step: True
) -> tuple[str, ...]:
    """The steps of a run whose steps grow that an undo of those ``wanted`` would take back, in its order."""
    grown = own_definition(definition, run, rows)
    return undoable(grown, rows, frozenset(step.id for step in grown.actions if wanted(step.id)))


def undoable(
    definition: TaskDefinition, rows: Sequence[StepRow], only: frozenset[str] | None = None
) -> tuple[str, ...]:
    """The steps that an undo would take back, or ask about, in its order; with ``only``, those of these."""
    progress = Progress()
    for row in rows:
        progress.take(row)
    found = []
    progress.undo_only = only
    for step in reversed(definition.actions):
        last = progress.latest.get(step.id)
        if (
            last is None
            or not progress.takes_back(step.id)
            or last.shared_from is not None
            or not (has_acted(step, last) or unclear(step, last))
        ):
            continue
        if not all(one.id in progress.done for one in step.undo):
            found.append(step.id)
    return tuple(found)


def _request(run: Run, by: Principal, steps: Sequence[str], reason: str) -> None:
    """In the caller's transaction. Of a run whose steps grow only these are asked back, with those asked for before."""
    before = asked_back(run)
    query = resume_sql.REQUEST_UNDO if before is None else resume_sql.REQUEST_UNDO_OF
    values: dict[str, Any] = {
        "id": run.pk,
        "reason": reason[:1000],
        "by": by.name,
        "steps": json.dumps(sorted({*(before or ()), *steps})),
    }
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        if cursor.fetchone() is None:
            raise NotNow(f"run {run.pk} changed meanwhile")
        cursor.execute(resume_sql.UNDO_AGAIN, {"id": run.pk})
        name = task_name(run)
        record(cursor, run_changed(run.pk, name, RunState.QUEUED, None, reason, by.name))
        append(cursor, [AuditEntry("run.undo", by.name, str(run.pk), {"task": name, "steps": list(steps)})])


def _check_grown(run: Run) -> None:
    if not grows(run):
        raise NotNow(f"run {run.pk} is taken back as a whole", hint="undo the run")
    check_ended(run)
    around = get(run.parent_run_id) if run.parent_run_id else None
    if around is not None and RunState(around.state) not in FINAL:
        raise NotNow(f"the run around it, {around.pk}, has not ended yet: it is {around.state}")
    if around is not None and (after := going_on([around.pk])):
        raise NotNow(f"run {after[around.pk]} goes on from it, and has not ended yet")


def going_on(runs: Iterable[UUID]) -> dict[UUID, UUID]:
    """Of those of these runs from which another one goes on now, that other one."""
    found = Run.objects.filter(forked_from__in=list(runs)).exclude(state__in=FINAL)
    return {old: new for old, new in found.values_list("forked_from", "pk") if old is not None}
