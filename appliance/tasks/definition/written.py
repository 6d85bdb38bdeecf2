"""Values that a step writes out and that can never be meant: found when the file is read, not when it runs."""

from collections.abc import Iterator

from appliance.actions.registry import registry
from appliance.lib.errors import MillwrightError
from appliance.lib.located.issues import Issue
from appliance.lib.located.problems import Path, part_at
from appliance.tasks.definition.draft import Draft, Outline
from appliance.tasks.definition.steps import StepSpec


def written_issues(draft: Draft) -> Iterator[Issue]:
    """What the kinds of its steps say of their values. Only a text that somebody saves is looked at.

    A stored version is not: it goes on as it is, and its step says the same when it is reached.
    """
    yield from _sequence(draft, ("actions",), draft.actions)
    yield from _sequence(draft, ("on_failure",), draft.on_failure)


def _sequence(draft: Draft, path: Path, steps: tuple[Outline, ...]) -> Iterator[Issue]:
    for index, step in enumerate(steps):
        at: Path = (*path, index)
        if step.spec is not None:
            yield from _step(at, step.spec)
            listed = isinstance(part_at(draft.raw, (*at, "undo")), list)
            for number, undo in enumerate(step.spec.undo):
                yield from _step((*at, "undo", number) if listed else (*at, "undo"), undo)
        for below, inside in step.inside:
            yield from _sequence(draft, (*at, *below), inside)


def _step(path: Path, step: StepSpec) -> Iterator[Issue]:
    for key, check in registry()[step.type].written(step.params):
        try:
            check()
        except MillwrightError as error:
            yield Issue((*path, key), error.message, hint=error.hint or "")
