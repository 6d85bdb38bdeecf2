"""One task between its YAML and its definition: what could be read, and what is wrong with the rest."""

from dataclasses import dataclass

from appliance.lib.jsontypes import JsonObject
from appliance.lib.located.issues import Issue
from appliance.lib.located.problems import Path
from appliance.tasks.definition.bodies import canonical_step
from appliance.tasks.definition.header import TaskHeader
from appliance.tasks.definition.steps import StepSpec
from appliance.tasks.definition.triggers import Trigger
from appliance.tasks.definition.vocabulary import ON_FAILURE_UNDO


@dataclass(frozen=True, slots=True)
class Outline:
    """A step as far as it could be read: its id is known even where the rest is wrong."""

    id: str
    spec: StepSpec | None
    conditional: bool
    """It may be skipped."""
    tolerated: bool
    """It may fail and the task goes on."""
    inside: tuple[tuple[Path, tuple["Outline", ...]], ...] = ()
    """The sequences of steps inside it, each with its path below this one."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What could be read of one task, and what is wrong with the rest."""

    raw: JsonObject
    header: TaskHeader | None
    triggers: tuple[tuple[Path, Trigger], ...]
    all_triggers_read: bool
    actions: tuple[Outline, ...]
    on_failure: tuple[Outline, ...]
    issues: tuple[Issue, ...]


@dataclass(frozen=True, slots=True)
class Parts:
    """The validated parts of one task."""

    header: TaskHeader
    triggers: tuple[Trigger, ...]
    actions: tuple[StepSpec, ...]
    on_failure: tuple[StepSpec, ...]
    undo_on_failure: bool = False

    def canonical(self) -> JsonObject:
        """The one JSON form of the task."""
        whole: JsonObject = self.header.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        whole["triggers"] = [trigger.canonical() for trigger in self.triggers]
        whole["actions"] = [canonical_step(step) for step in self.actions]
        if self.undo_on_failure:
            whole["on_failure"] = ON_FAILURE_UNDO
        if self.on_failure:
            whole["on_failure"] = [canonical_step(step) for step in self.on_failure]
        return whole


def parts_of(draft: Draft) -> Parts | None:
    """The parts of a draft with which nothing is wrong."""
    if draft.issues or draft.header is None:
        return None
    return Parts(
        draft.header,
        tuple(trigger for _, trigger in draft.triggers),
        tuple(outline.spec for outline in draft.actions if outline.spec),
        tuple(outline.spec for outline in draft.on_failure if outline.spec),
        draft.raw.get("on_failure") == ON_FAILURE_UNDO,
    )
