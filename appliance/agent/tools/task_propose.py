"""``task_propose``: a task for people to look at and take over, or not."""

from typing import Annotated

from pydantic import Field

from appliance.agent.domain import Risk
from appliance.agent.tools.contract import Arguments, Tool
from appliance.lib.jsontypes import JsonObject

_EXAMPLE = """\
- name: pump_3_hot
  trigger: "mqtt plant/pump/3/temp"
  principal: operator
  actions:
    - type: notification
      platform: webchat
      message: "Pump 3 is at {{ payload }} °C"
"""


class TaskProposeArguments(Arguments):
    task: Annotated[str, Field(min_length=1, max_length=16_000)]
    """One task as YAML: name, trigger, principal, actions. To change one that exists, its whole new text."""
    why: Annotated[str, Field(max_length=500)] = ""
    """What it is for, in a sentence."""


class TaskProposeTool(Tool[TaskProposeArguments]):
    """What it is given is kept: a person decides, by the ordinary way, whether a task comes of it."""

    name = "task_propose"
    says = "Propose a new task, or a change of one, as YAML; a person looks at the difference and takes it over or not."
    arguments = TaskProposeArguments
    risk = Risk.CHANGE
    reviewed = True
    verbatim = frozenset({"task"})
    example = {"task": _EXAMPLE, "why": "Tell people when pump 3 is hot."}

    def step(self, given: TaskProposeArguments) -> JsonObject:
        return {"type": "agent_propose", "text": given.task, "why": given.why}
