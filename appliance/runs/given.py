"""What whoever starts a run may bring: what a trigger would have brought, and nothing that the engine keeps there."""

from appliance.lib.errors import MillwrightError
from appliance.lib.jsontypes import JsonMapping, JsonObject
from appliance.tasks.definition import TaskDefinition

NAMES = ("payload", "topic", "event", "vars", "captures")


class InputsNotTaken(MillwrightError):
    code = "runs.inputs_not_taken"


def taken(definition: TaskDefinition, inputs: JsonMapping) -> JsonObject:
    """The inputs as they are.

    Raises InputsNotTaken: a run's inputs also say which shard of what it is, and how far it may go. A start that
    brought those would perform a part of the task only, past an approval in another part.
    """
    _only(inputs, NAMES, "input", "a trigger would bring")
    for name in ("vars", "captures"):
        if not isinstance(inputs.get(name, {}), dict):
            raise InputsNotTaken(f"the input {name!r} has to be names with values")
    captures = inputs.get("captures")
    if isinstance(captures, dict):
        _only(captures, captured(definition), "capture", "the topics of its triggers capture")
    return dict(inputs)


def captured(definition: TaskDefinition) -> tuple[str, ...]:
    """The names in braces in the topics and the sentences that start the task."""
    return tuple(sorted({name for trigger in definition.triggers for name in trigger.captures}))


def _only(found: JsonMapping, allowed: tuple[str, ...], what: str, which: str) -> None:
    beyond = sorted(set(found) - set(allowed))
    if beyond:
        names = ", ".join(allowed) or "none"
        raise InputsNotTaken(
            f"a run takes no {what} {beyond[0][:60]!r}", hint=f"it takes what {which}: {names}"
        )
