"""Where each step of a task stands in its file."""

from collections.abc import Iterator, Sequence

from appliance.lib.located.problems import Path
from appliance.tasks.definition.bodies import BODY_KEYS, bodies_of
from appliance.tasks.definition.steps import StepSpec
from appliance.tasks.definition.task import TaskDefinition


def placed_steps(definition: TaskDefinition) -> Iterator[tuple[Path, StepSpec]]:
    """Every step with its path below the task, those inside others and under ``undo`` included."""
    for key, steps in (("actions", definition.actions), ("on_failure", definition.on_failure)):
        yield from _placed((key,), steps)


def _placed(path: Path, steps: Sequence[StepSpec]) -> Iterator[tuple[Path, StepSpec]]:
    for index, step in enumerate(steps):
        at = (*path, index)
        yield at, step
        for name, inside in bodies_of(step).items():
            below = (BODY_KEYS[step.type], name) if name else (BODY_KEYS[step.type],)
            yield from _placed((*at, *below), inside)
        if len(step.undo) > 1:
            yield from _placed((*at, "undo"), step.undo)
        else:  # One may be written without a list: the key is its place in both forms.
            yield from (((*at, "undo"), one) for one in step.undo)
