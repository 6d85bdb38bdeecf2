"""Which tasks surely start which, by calling them or by ending: a round of these would never stop."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from appliance.tasks.definition import TaskDefinition
from appliance.tasks.definition.triggers import EndState


@dataclass(frozen=True, slots=True)
class Links:
    """Of one task: whom it surely calls, and whose success surely starts it."""

    calls: tuple[str, ...] = ()
    follows: tuple[str, ...] = ()


def links_of(definition: TaskDefinition) -> Links:
    """A condition, a `when`, or an end that is not the good one may break a round: such links do not count."""
    calls = tuple(
        str(getattr(step.params, "task", ""))
        for step in definition.actions
        if step.type == "task" and step.condition is None
    )
    follows = tuple(
        trigger.task.name
        for trigger in definition.triggers
        if trigger.task is not None and trigger.task.state is EndState.SUCCEEDED and trigger.when is None
    )
    return Links(calls, follows)


def stored_links(canonical: Mapping[str, Any]) -> Links:
    """The same of a stored definition, without compiling it."""
    actions, triggers = canonical.get("actions"), canonical.get("triggers")
    calls = tuple(
        str(step.get("task"))
        for step in (actions if isinstance(actions, list) else [])
        if isinstance(step, dict) and step.get("type") == "task" and "condition" not in step
    )
    follows = tuple(
        str(trigger["task"].get("name"))
        for trigger in (triggers if isinstance(triggers, list) else [])
        if isinstance(trigger, dict)
        and isinstance(trigger.get("task"), dict)
        and trigger["task"].get("state", EndState.SUCCEEDED) == EndState.SUCCEEDED
        and "when" not in trigger
    )
    return Links(calls, follows)


def starts(links: Mapping[str, Links]) -> dict[str, list[str]]:
    """For each task, those that it starts for sure."""
    found: dict[str, list[str]] = {name: list(own.calls) for name, own in links.items()}
    for name, own in links.items():
        for followed in own.follows:
            found.setdefault(followed, []).append(name)
    return found
