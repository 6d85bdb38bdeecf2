"""``tasks.show``: the text of one task as it is in force."""

from typing import Annotated

from pydantic import Field

from appliance.accounts.domain import Ability
from appliance.agent.tools.contract import Arguments, Asking, QueryTool
from appliance.lib.jsontypes import JsonValue
from appliance.tasks.services import find

PIECE = 5_000
"""Characters of one answer."""


class TasksShowArguments(Arguments):
    task: str
    """Its name, as tasks.list gives it."""
    begin: Annotated[int, Field(ge=0)] = 0
    """At which character to begin: the answer says where the next piece does."""


class TasksShowTool(QueryTool[TasksShowArguments]):
    name = "tasks.show"
    says = "Read the YAML of one task as it is in force, and its version."
    arguments = TasksShowArguments
    example = {"task": "restart_pump"}

    def answer(self, given: TasksShowArguments, asking: Asking) -> JsonValue:
        asking.by.require(Ability.VIEW, task=given.task)
        task = find(given.task)
        text, end = task.current.text if task.current else "", given.begin + PIECE
        return {
            "task": task.name,
            "version": task.current.number if task.current else None,
            "switched_on": task.enabled,
            "text": text[given.begin : end],
            "next": end if end < len(text) else None,
        }
