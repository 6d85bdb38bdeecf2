"""The one question about those calls of a turn that people have to allow: what it shows, where there is one. Pure."""

from collections.abc import Sequence
from datetime import timedelta

from appliance.agent.domain import Approvals, Asked, Call, Risk, TurnOutput, plan_id
from appliance.agent.errors import ToolUnknown
from appliance.agent.loop.calling import Made, built
from appliance.agent.loop.words import all_seen, one_line, plain_words
from appliance.agent.spelling import spelled
from appliance.lib.duration import format_duration
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.safety.approvals.shown import LONGEST
from appliance.safety.commands.domain import SCRIPTED
from appliance.tasks.definition import StepSpec

_LONGEST_PLAN = LONGEST - 500
"""Characters: a plan that would not be shown whole is asked about call by call."""
_LONGEST_SAY = 300
LONGEST_WHY = 200
PATIENCE = timedelta(minutes=30)
Asks = Sequence[tuple[int, Call, Made]]
"""The calls of a turn, by their numbers, that a person has to allow."""


def together(asked: Asked, asks: Asks) -> bool:
    """A command asks by itself, for its approval is bound to the programs that it would run."""
    bound = sum(found.raw["type"] in SCRIPTED for _, _, found in asks)
    return asked.approvals is Approvals.PLAN and len(asks) - bound > 1 and len(asks) <= 18


def plan_of(turn: int, output: TurnOutput, asks: Asks) -> StepSpec | None:
    """None where people would not see them whole.

    Who asked the agent may answer only where each call may be theirs to allow; the gate looks at that once more.
    """
    shown: list[JsonValue] = [_line(number, call, found) for number, call, found in asks]
    say = one_line(output.say, _LONGEST_SAY)
    question = f"An agent proposes {len(asks)} steps{f': {say}' if say else '.'}"
    if len("\n".join([question, *map(str, shown)])) > _LONGEST_PLAN:
        return None
    raw: JsonObject = {
        "type": "agent_plan",
        "question": question,
        "show": shown,
        "approvers": "engineer",
        "self_approval": all(found.risk is not Risk.DESTROY for _, _, found in asks),
        "expires": format_duration(PATIENCE),
        "on_deny": "continue",
        "on_timeout": "continue",
        "on_error": "continue",
    }
    try:
        return built(raw, plan_id(turn))
    except ToolUnknown:
        return None


def _line(number: int, call: Call, found: Made) -> str:
    """The step as it would be done, with what its author has fixed, and behind it the model's own words."""
    step = spelled({key: value for key, value in found.raw.items() if key != "type"})
    why = one_line(call.why, LONGEST_WHY)
    return f"{number}. {call.tool} ({plain_words(all_seen(step))}){f' (it says: “{why}”)' if why else ''}"
