"""From what a model wants called to the step that does it, or to the sentence why not. Pure."""

import json
import re
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from pydantic import ValidationError

from appliance.agent.domain import Asked, Call, Risk
from appliance.agent.errors import ToolUnknown
from appliance.agent.fitting import no_such_argument, unfit
from appliance.agent.loop.toolbox import toolbox
from appliance.agent.loop.washing import check_size
from appliance.agent.loop.words import one_line
from appliance.agent.tools.contract import Tool
from appliance.agent.tools.registry import TEMPLATE, texts_in
from appliance.lib.digest import canonical_json
from appliance.lib.errors import MillwrightError
from appliance.lib.jsontypes import JsonMapping, JsonObject
from appliance.safety.references import PREFIX
from appliance.tasks.definition import StepSpec
from appliance.tasks.definition.build import step_of

_REFERENCE = re.compile(rf"(?:^|\s){PREFIX}\S", re.IGNORECASE)
LONGEST = 16_000
"""Characters of one text."""
MOST_SHOWN = 12
"""Names of tools in one sentence."""


@dataclass(frozen=True, slots=True)
class Made:
    """A call that fits: what it does to the world, and its step as in a task file."""

    risk: Risk
    raw: JsonObject
    leaves: bool = False
    """Whether it could carry off what the model was told, to where the model says."""

    def step(self, step_id: str) -> StepSpec:
        """Raises ToolUnknown."""
        return built({**self.raw, "on_error": "continue"}, step_id)


def built(raw: JsonObject, step_id: str) -> StepSpec:
    """A step as in a task file. Raises ToolUnknown where it is none."""
    spec = _built(canonical_json(raw))
    return spec if spec.id == step_id else spec.model_copy(update={"id": step_id})


@lru_cache(maxsize=2048)
def _built(raw: bytes) -> StepSpec:
    """Read once: a call is looked at by its turn, by what follows from that, and by the answer."""
    spec, issues = step_of(json.loads(raw), "call")
    if spec is None:
        raise ToolUnknown("; ".join(issue.message for issue in issues) or "this is no step")
    return spec


def made(asked: Asked, call: Call) -> Made:
    """Raises ToolUnknown, in words for the model, where it is not to be called or its arguments do not fit."""
    fixed = asked.tools.get(call.tool)
    tool = toolbox(asked).get(call.tool)
    if fixed is None or tool is None:
        raise _no_such_tool(asked, call.tool)
    given = tool.by_author | fixed.keys()
    own = sorted(given & call.arguments.keys())
    if own:
        raise ToolUnknown(f"{own[0]} is not yours to give: leave it out")
    check_size(call.arguments)
    takes = tool.takes(fixed)
    unknown = next((name for name in call.arguments if takes is not None and name not in takes), None)
    if unknown is not None:
        message, hint = no_such_argument(unknown, takes or ())
        raise ToolUnknown(message, hint=hint)
    for name, value in call.arguments.items():
        for text in (name, *texts_in(value)):
            _check(text, verbatim=name in tool.verbatim)
    try:
        canonical_json(call.arguments)
    except ValueError as error:
        raise ToolUnknown("an argument is a number that JSON does not have") from error
    return _made(tool, call.arguments, fixed)


def way_back(asked: Asked, call: Call, step_id: str) -> StepSpec | None:
    """The step that takes the call back: the same tool, with the arguments that its author has given for that.

    None where they have given none, or where together with what the model gave it is no call.
    """
    back, tool = asked.undo.get(call.tool), toolbox(asked).get(call.tool)
    if back is None or tool is None:
        return None
    try:
        found = _made(tool, call.arguments, {**asked.tools[call.tool], **back})
        return built(found.raw, step_id)
    except ToolUnknown:
        return None


def _made(tool: Tool[Any], given: JsonObject, fixed: JsonMapping) -> Made:
    """What the author has fixed stands in the place of what was given. Raises ToolUnknown."""
    try:
        arguments = tool.read({**given, **fixed})
    except ValidationError as error:
        message, hint = unfit(error, tool.arguments, tool.takes(fixed) or ()) or (str(error), "")
        raise ToolUnknown(message, hint=hint) from error
    try:
        raw = tool.step(arguments)
        found = Made(tool.risk_of(arguments), raw, tool.leaves(arguments, fixed.keys()))
        found.step("call")
    except ToolUnknown:
        raise
    except MillwrightError as error:
        raise ToolUnknown(str(error)) from error
    return found


def _no_such_tool(asked: Asked, name: str) -> ToolUnknown:
    """With the nearest that there is, and some of the others: there may be very many."""
    near = get_close_matches(name[:100], list(asked.tools), 1)
    shown = list(dict.fromkeys([*near, *asked.tools]))[:MOST_SHOWN]
    more = f" and {len(asked.tools) - len(shown)} more" if len(shown) < len(asked.tools) else ""
    guess = f"did you mean {near[0]}? " if near else ""
    hint = f"{guess}there are {', '.join(shown) or 'none'}{more}"
    return ToolUnknown(f"there is no tool {one_line(name, 60)!r} here", hint=hint)


def _check(text: str, *, verbatim: bool) -> None:
    """A model's words are data: nothing in them is evaluated, and they open no secret.

    ``verbatim``: the tool keeps them as a text for people, and its step has no field that is filled in.
    """
    if len(text) > LONGEST:
        raise ToolUnknown(f"an argument may have {LONGEST:,} characters")
    if verbatim:
        return
    if TEMPLATE.search(text):
        raise ToolUnknown("an argument may hold no {{, {% or {#: it is used as it is written")
    if _REFERENCE.search(text):
        raise ToolUnknown("an argument may name no stored secret")
