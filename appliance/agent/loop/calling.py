"""From what a model wants called to the step that does it, or to the sentence why not. Pure."""

import re
from dataclasses import dataclass

from pydantic import ValidationError

from appliance.agent.domain import Asked, Call, Risk
from appliance.agent.errors import ToolUnknown
from appliance.agent.loop.washing import check_size
from appliance.agent.loop.words import one_line
from appliance.agent.tools.registry import TEMPLATE, texts_in, tools
from appliance.lib.errors import MillwrightError
from appliance.lib.jsontypes import JsonObject
from appliance.safety.references import PREFIX
from appliance.tasks.definition import StepSpec
from appliance.tasks.definition.build import step_of

_REFERENCE = re.compile(rf"(?:^|\s){PREFIX}\S", re.IGNORECASE)
LONGEST = 16_000
"""Characters of one text."""


@dataclass(frozen=True, slots=True)
class Made:
    """A call that fits: what it does to the world, and its step as in a task file."""

    risk: Risk
    raw: JsonObject
    leaves: bool = False
    """Whether it could carry off what the model was told, to where the model says."""

    def step(self, step_id: str) -> StepSpec:
        spec, issues = step_of({**self.raw, "on_error": "continue"}, step_id)
        if spec is None:
            raise ToolUnknown("; ".join(issue.message for issue in issues))
        return spec


def made(asked: Asked, call: Call) -> Made:
    """Raises ToolUnknown, in words for the model, where it is not to be called or its arguments do not fit."""
    fixed = asked.tools.get(call.tool)
    tool = tools().get(call.tool)
    if fixed is None or tool is None:
        raise ToolUnknown(
            f"there is no tool {one_line(call.tool, 60)!r} here", hint=f"there are {', '.join(asked.tools)}"
        )
    given = tool.by_author | fixed.keys()
    own = sorted(given & call.arguments.keys())
    if own:
        raise ToolUnknown(f"{own[0]} is not yours to give: leave it out")
    check_size(call.arguments)
    for text in texts_in(call.arguments):
        _check(text)
    try:
        arguments = tool.arguments.model_validate({**call.arguments, **fixed})
    except ValidationError as error:
        wrong = error.errors()[0]
        place = ".".join(map(str, wrong["loc"])) or "the arguments"
        raise ToolUnknown(f"{place}: {wrong['msg']}") from error
    try:
        raw = tool.step(arguments)
        found = Made(tool.risk_of(arguments), raw, tool.leaves(arguments, fixed.keys()))
        found.step("call")
    except ToolUnknown:
        raise
    except MillwrightError as error:
        raise ToolUnknown(str(error)) from error
    return found


def _check(text: str) -> None:
    """A model's words are data: nothing in them is evaluated, and they open no secret."""
    if TEMPLATE.search(text):
        raise ToolUnknown("an argument may hold no {{, {% or {#: it is used as it is written")
    if _REFERENCE.search(text):
        raise ToolUnknown("an argument may name no stored secret")
    if len(text) > LONGEST:
        raise ToolUnknown(f"an argument may have {LONGEST:,} characters")
