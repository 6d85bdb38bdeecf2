"""``task_run``: run a task of this box and wait for its end."""

from typing import Any

from appliance.agent.domain import Risk
from appliance.agent.tools.contract import Arguments, Tool
from appliance.lib.jsontypes import JsonObject


class TaskRunArguments(Arguments):
    task: str
    """The name of the task."""
    vars: dict[str, Any] = {}
    """Values for its vars."""


class TaskRunTool(Tool[TaskRunArguments]):
    """The called run inherits ceiling and origins: it can do no more than the agent."""

    name = "task_run"
    says = "Run a task of this box and wait until it has ended."
    arguments = TaskRunArguments
    risk = Risk.CHANGE
    example = {"task": "restart_pump", "vars": {"pump": "3"}}

    def step(self, given: TaskRunArguments) -> JsonObject:
        return {"type": "task", "task": given.task, "vars": given.vars, "wait": True}
