"""A task: a name, what starts it, what it does, and the rules it runs by."""

from functools import cached_property

from pydantic import PrivateAttr

from appliance.lib.errors import MillwrightError
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.lib.located.issues import Issue
from appliance.lib.located.problems import path_text
from appliance.tasks.definition.bodies import each_step
from appliance.tasks.definition.build import draft_of
from appliance.tasks.definition.draft import Parts, parts_of
from appliance.tasks.definition.header import TaskHeader
from appliance.tasks.definition.names import name_issues
from appliance.tasks.definition.steps import StepSpec
from appliance.tasks.definition.triggers import Trigger
from appliance.tasks.definition.written import written_issues


class DefinitionError(MillwrightError):
    """A stored definition that this version cannot read."""

    code = "tasks.definition_unreadable"


class TaskDefinition(TaskHeader):
    """A validated task. It never changes; a run pins the one it was started with."""

    triggers: tuple[Trigger, ...]
    actions: tuple[StepSpec, ...]
    on_failure: tuple[StepSpec, ...] = ()
    undo_on_failure: bool = False
    _canonical: JsonObject = PrivateAttr(default_factory=dict)

    @classmethod
    def from_canonical(cls, canonical: JsonObject) -> "TaskDefinition":
        """The definition of a stored version. Raises DefinitionError where this version cannot read it.

        What was checked when it was saved (names under each trigger) is not checked again.
        """
        draft = draft_of(canonical)
        parts = parts_of(draft)
        if parts is None:
            said = "; ".join(f"{path_text(issue.path)}: {issue.message}" for issue in draft.issues)
            raise DefinitionError(f"this task cannot be read: {said}", hint="save it again to see where")
        return _assembled(parts)

    def to_canonical(self) -> JsonObject:
        """The one JSON form: long forms and ids spelled out, defaults left out."""
        return self._canonical

    def __hash__(self) -> int:
        return hash(self.name)

    def is_unattended(self, trigger: str) -> bool:
        """Whether nobody is to be asked in a run that this trigger started."""
        return self.unattended or any(one.unattended for one in self.triggers if one.id == trigger)

    @property
    def called_tasks(self) -> tuple[str, ...]:
        """The names of the tasks that it calls, in order."""
        steps = each_step(self.all_steps)
        calls = (getattr(step.params, "task", None) for step in steps if step.type == "task")
        return tuple(name for name in calls if isinstance(name, str))

    @cached_property
    def undo_steps(self) -> tuple[StepSpec, ...]:
        """What takes its actions back, in the order in which that is done: the last action first."""
        return tuple(undo for step in reversed(self.actions) for undo in step.undo)

    @property
    def all_steps(self) -> tuple[StepSpec, ...]:
        return (*self.actions, *self.on_failure, *self.undo_steps)


def define(raw: JsonValue) -> tuple[TaskDefinition | None, list[Issue]]:
    """The definition of one task as it was written, or everything that is wrong with it."""
    draft = draft_of(raw)
    issues = [*draft.issues, *name_issues(draft), *written_issues(draft)]
    parts = parts_of(draft)
    return (_assembled(parts) if parts is not None and not issues else None), issues


def _assembled(parts: Parts) -> TaskDefinition:
    definition = TaskDefinition.model_construct(
        **{name: getattr(parts.header, name) for name in TaskHeader.model_fields},
        triggers=parts.triggers,
        actions=parts.actions,
        on_failure=parts.on_failure,
        undo_on_failure=parts.undo_on_failure,
    )
    definition._canonical = parts.canonical()
    return definition
