"""Where each step of a definition stands in the text that it was read from."""

from collections.abc import Iterator, Sequence

from appliance.lib.jsontypes import JsonValue
from appliance.lib.located.problems import Path, part_at
from appliance.tasks.definition.bodies import BODY_KEYS, bodies_of
from appliance.tasks.definition.steps import StepSpec
from appliance.tasks.definition.task import TaskDefinition


def placed_steps(definition: TaskDefinition, raw: JsonValue) -> Iterator[tuple[Path, StepSpec]]:
    """Every step with its path in ``raw``, those inside others and those that undo included."""
    yield from _placed(raw, ("actions",), definition.actions)
    yield from _placed(raw, ("on_failure",), definition.on_failure)


def _placed(raw: JsonValue, path: Path, steps: Sequence[StepSpec]) -> Iterator[tuple[Path, StepSpec]]:
    for index, step in enumerate(steps):
        yield from _one(raw, (*path, index), step)


def _one(raw: JsonValue, at: Path, step: StepSpec) -> Iterator[tuple[Path, StepSpec]]:
    yield at, step
    for name, inside in bodies_of(step).items():
        below: Path = (BODY_KEYS[step.type], name) if name else (BODY_KEYS[step.type],)
        yield from _placed(raw, (*at, *below), inside)
    listed = isinstance(part_at(raw, (*at, "undo")), list)
    for number, undo in enumerate(step.undo):
        yield from _one(raw, (*at, "undo", number) if listed else (*at, "undo"), undo)
