"""``tasks.list``: what this box can do."""

from appliance.accounts.domain import Ability
from appliance.agent.tools.contract import Arguments, Asking, QueryTool
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.tasks.models import Task
from appliance.tasks.services import definition_of

MOST = 100


class TasksListArguments(Arguments):
    word: str = ""
    """Only tasks with this word in their name."""


class TasksListTool(QueryTool[TasksListArguments]):
    name = "tasks.list"
    says = "List the tasks of this box with what they are for and the vars that they take."
    arguments = TasksListArguments
    example = {"word": "pump"}

    def answer(self, given: TasksListArguments, asking: Asking) -> JsonValue:
        rows = Task.objects.filter(name__icontains=given.word, current__isnull=False)
        found = rows.select_related("current").order_by("name")[:MOST]
        return [_row(task) for task in found if asking.by.can(Ability.VIEW, task=task.name)]


def _row(task: Task) -> JsonObject:
    assert task.current is not None, "they are chosen so"
    definition = definition_of(task.current)
    return {
        "task": task.name,
        "for": definition.description,
        "vars": list(definition.vars),
        "switched_on": task.enabled,
    }
