"""Taking back single steps of a run whose steps have grown: the engine's undo, of those that a person names."""

import json
from collections.abc import Callable, Sequence
from uuid import UUID

from django.db import connection, transaction

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.audit.services import AuditEntry, append
from appliance.events.services import record
from appliance.runs import hints, resume_sql
from appliance.runs.changes import run_changed
from appliance.runs.domain import FINAL, RunState, Waiting
from appliance.runs.ended import locked, pinned, rows_of, undoable
from appliance.runs.models import Run
from appliance.runs.services import NotNow, get, get_for, task_name
from appliance.runs.shards.body import asked_back, grows, own_definition
from appliance.safety.read_only import refuse_changes

Choose = Callable[[str], bool]


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
        _check(run)
        rows = rows_of(run_id)
        definition = own_definition(pinned(run), run, rows)
        named = frozenset(step.id for step in definition.actions if wanted(step.id))
        steps = undoable(definition, rows, named)
        if not steps:
            raise NotNow(
                "nothing of this can be taken back",
                hint="only what took effect and says how it is undone can be",
            )
        _request(run, by, steps)
    hints.look_at([run_id])
    return steps


def _request(run: Run, by: Principal, steps: Sequence[str]) -> None:
    before = asked_back(run) or frozenset()
    reason = f"to be undone, by {by.name}: {', '.join(steps)}"
    with connection.cursor() as cursor:
        cursor.execute(
            resume_sql.REQUEST_UNDO_OF,
            {
                "id": run.pk,
                "reason": reason[:1000],
                "by": by.name,
                "steps": json.dumps(sorted({*before, *steps})),
            },
        )
        if cursor.fetchone() is None:
            raise NotNow(f"run {run.pk} changed meanwhile")
        cursor.execute(resume_sql.UNDO_AGAIN, {"id": run.pk})
        name = task_name(run)
        record(cursor, run_changed(run.pk, name, RunState.QUEUED, None, reason, by.name))
        append(cursor, [AuditEntry("run.undo", by.name, str(run.pk), {"task": name, "steps": list(steps)})])


def _check(run: Run) -> None:
    if not grows(run):
        raise NotNow(f"run {run.pk} is taken back as a whole", hint="undo the run")
    unclear = run.state == RunState.WAITING and run.waiting_for == Waiting.AMBIGUOUS
    if RunState(run.state) not in FINAL and not unclear:
        raise NotNow(f"run {run.pk} has not ended yet: it is {run.state}", hint="cancel it first")
    around = get(run.parent_run_id) if run.parent_run_id else None
    if around is not None and RunState(around.state) not in FINAL:
        raise NotNow(f"the run around it, {around.pk}, has not ended yet: it is {around.state}")
    after = Run.objects.filter(forked_from=around.pk).exclude(state__in=FINAL).first() if around else None
    if after is not None:
        raise NotNow(f"run {after.pk} goes on from it, and has not ended yet: it is {after.state}")
