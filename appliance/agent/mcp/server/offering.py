"""What a program with a token is offered as tools: the box's own questions, and tasks with a trigger ``mcp``."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.agent.errors import McpRefused
from appliance.agent.fitting import unfit
from appliance.agent.tools.contract import Asking, QueryTool
from appliance.agent.tools.registry import tools
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.runs.effects import acts, acts_inside
from appliance.tasks.definition import TaskDefinition, Trigger, TriggerKind
from appliance.tasks.models import TaskTrigger
from appliance.tasks.services import definition_of

CANCEL = "runs.cancel"
LONGEST_SAY = 1000


@dataclass(frozen=True, slots=True)
class Offered:
    """One tool as other programs see it. ``reads``: it changes nothing."""

    name: str
    says: str
    schema: JsonObject
    reads: bool


@dataclass(frozen=True, slots=True)
class TaskTool:
    """A task that is called as a tool."""

    definition: TaskDefinition
    trigger: Trigger

    @property
    def name(self) -> str:
        assert self.trigger.mcp is not None, "it is found by it"
        return self.trigger.mcp.tool

    @property
    def wait(self) -> float:
        """Seconds that a call waits for the end of its run."""
        assert self.trigger.mcp is not None, "it is found by it"
        return self.trigger.mcp.wait.total_seconds()


def offered(by: Principal) -> list[Offered]:
    """Everything that ``by`` may call, by name. What two tasks call alike is offered by neither."""
    found = [*_queries(by), *_tasks(by)]
    if by.can_somewhere(Ability.CANCEL_RUNS):
        found.append(_CANCEL)
    return sorted(found, key=lambda one: one.name)


def query_named(name: str) -> QueryTool[Any] | None:
    tool = tools().get(name)
    return tool if isinstance(tool, QueryTool) and not tool.must_fix else None


def answer(tool: QueryTool[Any], given: JsonObject, by: Principal, now: datetime) -> JsonValue:
    """What the box knows, as far as ``by`` may look. Raises McpRefused, NotAllowed and what the tool refuses."""
    if not by.can_somewhere(Ability.VIEW):
        by.require(Ability.VIEW)
    try:
        arguments = tool.arguments.model_validate(given)
    except ValidationError as error:
        message, hint = unfit(error, tool.arguments, tool.takes({}) or ()) or (str(error), "")
        raise McpRefused(message, hint=hint) from error
    found: JsonValue = tool.answer(arguments, Asking(by, now))
    return found


def task_named(name: str, by: Principal) -> TaskTool | None:
    """The task that is called so, where ``by`` may run it. Raises McpRefused where two are."""
    found = [one for one in _task_tools() if one.name == name]
    if len(found) > 1:
        names = ", ".join(sorted(one.definition.name for one in found))
        raise McpRefused(f"several tasks are called as {name}: {names}", hint="give each a name of its own")
    return found[0] if found and by.can(Ability.RUN_TASKS, task=found[0].definition.name) else None


def _queries(by: Principal) -> Iterator[Offered]:
    if not by.can_somewhere(Ability.VIEW):
        return
    for name in tools():
        tool = query_named(name)
        if tool is not None:
            yield Offered(name, tool.says, tool.schema({}), reads=True)


def _tasks(by: Principal) -> Iterator[Offered]:
    found = _task_tools()
    often = Counter(one.name for one in found)
    taken = {*tools(), CANCEL}
    for one in found:
        if often[one.name] > 1 or one.name in taken:
            continue
        if by.can(Ability.RUN_TASKS, task=one.definition.name):
            yield Offered(one.name, _says(one), schema_of(one.definition), reads=_reads(one.definition))


def _task_tools() -> list[TaskTool]:
    """Those of switched-on tasks, by the name of the task."""
    rows = TaskTrigger.objects.filter(kind=TriggerKind.MCP, active=True, task__current__isnull=False)
    found: list[TaskTool] = []
    for row in rows.select_related("task__current").order_by("task__name"):
        assert row.task.current is not None, "they are chosen so"
        definition = definition_of(row.task.current)
        trigger = next((one for one in definition.triggers if one.id == row.trigger), None)
        if trigger is not None and trigger.mcp is not None:
            found.append(TaskTool(definition, trigger))
    return found


def _says(tool: TaskTool) -> str:
    assert tool.trigger.mcp is not None, "it is found by it"
    said = (
        tool.trigger.mcp.description
        or tool.definition.description
        or f"Runs the task {tool.definition.name}."
    )
    return said[:LONGEST_SAY]


def _reads(definition: TaskDefinition) -> bool:
    """Whether no step of it reaches anything outside of its run."""
    steps = (*definition.actions, *definition.on_failure)
    return not any(acts(one) or acts_inside(one) for one in steps)


def schema_of(definition: TaskDefinition) -> JsonObject:
    """The JSON schema of a task's ``vars``, each of the type of its present value."""
    kept: JsonObject = {
        name: {**_type_of(value), "default": value} for name, value in definition.vars.items()
    }
    return {"type": "object", "properties": kept, "additionalProperties": False}


def _type_of(value: JsonValue) -> JsonObject:
    match value:
        case bool():
            return {"type": "boolean"}
        case int() | float():
            return {"type": "number"}
        case str():
            return {"type": "string"}
        case list():
            return {"type": "array"}
        case dict():
            return {"type": "object"}
    return {}


_CANCEL = Offered(
    CANCEL,
    "End a run that was started here, as far as your token may.",
    {
        "type": "object",
        "properties": {"run": {"type": "string", "description": "The run's whole number."}},
        "required": ["run"],
        "additionalProperties": False,
    },
    reads=False,
)
