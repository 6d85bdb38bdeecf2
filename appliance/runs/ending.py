"""What a run ends as, once nothing is left to do: pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from appliance.runs.domain import RunState
from appliance.runs.effects import acts, acts_inside
from appliance.runs.plan import Progress, has_acted, undoing
from appliance.tasks.definition import TaskDefinition


@dataclass(frozen=True, slots=True)
class Ending:
    """A final state, why, and what still stands of what the run did."""

    state: RunState
    reason: str = ""
    not_undone: tuple[str, ...] = ()


def ending_of(definition: TaskDefinition, progress: Progress) -> Ending:
    """A run that failed and was undone is ``undone``; one of whose undo steps failed is ``failed``."""
    if not undoing(definition, progress):
        return Ending(RunState.FAILED, progress.failure) if progress.failure else Ending(RunState.SUCCEEDED)
    left = tuple(_left_standing(definition, progress))
    before = f"{progress.failure}; " if progress.failure else ""
    if progress.undo_failures:
        failed = "; ".join(progress.undo_failures)
        return Ending(RunState.FAILED, f"{before}undo failed: {failed}", left)
    return Ending(RunState.UNDONE, f"{before}undone", left)


def _left_standing(definition: TaskDefinition, progress: Progress) -> Iterator[str]:
    """Each step that took effect and was left as it is, with the reason."""
    for step in definition.actions:
        row = progress.latest.get(step.id)
        if row is None or not has_acted(step, row) or not progress.takes_back(step.id):
            continue
        if not (acts(step) or acts_inside(step)):
            continue
        if step.safe_state:
            yield f"{step.id}: not undone, it is a safe state"
        elif row.shared_from is not None:
            yield f"{step.id}: not undone here, run {row.shared_from} did it"
        elif not step.undo:
            yield f"{step.id}: not undone, it has no undo"
