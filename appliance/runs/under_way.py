"""The steps of a run as people see them: its rows, and the step under way that has none yet.

A step that changes nothing commits no intent, so its row comes with its result. What it is follows from the rest: the
plan says what comes after the rows, and the lease whether somebody is at it. Nothing is written for it.
"""

from collections.abc import Sequence
from datetime import datetime

from appliance.actions.contract import EffectClass
from appliance.actions.registry import registry
from appliance.lib.errors import MillwrightError
from appliance.runs.domain import RunState
from appliance.runs.ended import as_rows
from appliance.runs.models import Run, Step
from appliance.runs.plan import Next, StepRow, next_step, replay
from appliance.runs.shards.body import asked_back, own_definition
from appliance.tasks.definition import TaskDefinition
from appliance.tasks.models import TaskVersion
from appliance.tasks.services import definition_of

RUNNING = "running"
"""The state of such a step. It is in no row: what is committed says intent."""


def steps_of(run: Run, now: datetime, most: int | None = None) -> list[Step]:
    """In the order of the task; at most ``most`` rows are read. The last one may be in no table, and is not saved.

    From some of the rows nothing follows: there is none such where there may be more than ``most``.
    """
    found = list(Step.objects.filter(run_id=run.pk).order_by("position", "attempt")[:most])
    held = run.state == RunState.RUNNING and run.lease_until is not None and run.lease_until > now
    whole = most is None or len(found) < most
    more = _under_way(run, found, now) if held and whole else None
    return [*found, more] if more else found


def _under_way(run: Run, steps: Sequence[Step], now: datetime) -> Step | None:
    version = TaskVersion.objects.filter(pk=run.version_id).first()
    if version is None:
        return None
    try:
        definition = own_definition(definition_of(version), run, as_rows(steps))
    except MillwrightError:
        return None  # a damaged definition, or steps that this version does not make
    following = _next(definition, as_rows(steps), undo=run.undo_requested, only=asked_back(run))
    if following is None or any(
        (row.step, row.attempt) == (following.spec.id, following.attempt) for row in steps
    ):
        return None
    if following.not_before is not None and following.not_before > now:
        return None
    spec = following.spec
    known = registry()[spec.type]
    return Step(
        run_id=run.pk,
        step=spec.id,
        attempt=following.attempt,
        position=following.position,
        phase=following.phase.value,
        kind=spec.type,
        effect=(EffectClass(spec.effect) if spec.effect else known.effect(spec.params)).value,
        state=RUNNING,
        epoch=run.epoch,
        # When it began nobody has written down: not before the one ahead of it ended.
        started_at=max((row.finished_at for row in steps if row.finished_at), default=run.started_at or now),
    )


def _next(
    definition: TaskDefinition, rows: Sequence[StepRow], *, undo: bool, only: frozenset[str] | None
) -> Next | None:
    progress = replay(definition, rows)
    progress.undo_requested, progress.undo_only = undo, only
    following = next_step(definition, progress)
    return following if isinstance(following, Next) else None
