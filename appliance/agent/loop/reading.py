"""From a model's answer to what a turn gives: every call that is not to be made is refused in words. Pure."""

import json
from collections.abc import Collection

from appliance.agent.domain import Asked, Call, Mode, Risk, TurnOutput
from appliance.agent.errors import AnswerUnreadable, ToolUnknown
from appliance.agent.loop.calling import Made, made
from appliance.agent.loop.growth import needs_word
from appliance.agent.loop.shape import MORE, MOST_CALLS
from appliance.agent.loop.story import SAME_AT_MOST, Fate, Story
from appliance.agent.loop.washing import check_size, kept
from appliance.agent.loop.words import one_line
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.lib.plain import plain_text
from appliance.safety.approvals.shown import LONGEST

LONGEST_SAY = 2_000
LONGEST_ANSWER = 32_000
LONGEST_ASKED = LONGEST - 500
"""Characters of a call about which a person is asked: they are to see the whole of it."""
TOO_MANY_STEPS = "too many calls: the budget of steps has no room for it"
TOO_MANY_CALLS = "too many calls in one turn: call it in the next one"
DENIED_AT_MOST = 3
"""Turns whose calls were denied: who is asked again and again says yes in the end."""


def parsed(text: str) -> JsonValue:
    """Raises AnswerUnreadable."""
    try:
        value: JsonValue = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise AnswerUnreadable("it is no JSON") from error
    return value


def read(value: JsonValue, story: Story, offered: Collection[str], *, last: bool) -> TurnOutput:
    """Raises AnswerUnreadable where it is nothing of the kind that was asked for."""
    if not isinstance(value, dict):
        raise AnswerUnreadable("it is no JSON object")
    wanted = value.get("calls", [])
    if not isinstance(wanted, list):
        raise AnswerUnreadable("`calls` is no list")
    answer, done = value.get("answer", ""), value.get("done") is True
    if not isinstance(answer, str):
        raise AnswerUnreadable("`answer` is no text")
    if not wanted and not done and not answer:
        raise AnswerUnreadable("it neither calls a tool nor is done")
    calls = () if last else _calls(wanted, story, offered)
    finished = (done and not wanted) or (last and bool(answer)) or (not wanted and bool(answer))
    return TurnOutput(
        say=plain_text(str(value.get("say", "")))[:LONGEST_SAY],
        calls=calls,
        done=finished,
        answer=plain_text(answer)[:LONGEST_ANSWER] if finished else "",
        changed=value.get("changed") is True,
        outside=story.outside,
    )


def _calls(wanted: list[JsonValue], story: Story, offered: Collection[str]) -> tuple[Call, ...]:
    found: list[Call] = []
    # One step is left for the turn that answers.
    room = story.asked.budget.steps - story.steps - 2
    for one in wanted[: MOST_CALLS * 2]:
        call = _call(one)
        refused = _refusal(call, story, offered, found, room)
        if call.tool == MORE and not refused:
            call = Call(call.tool, call.arguments, call.why, noted=True)
        elif refused:
            call = Call(one_line(call.tool, 60), kept(call.arguments), call.why, refused=refused)
        found.append(call)
    return tuple(found)


def _call(value: JsonValue) -> Call:
    given: JsonObject = value if isinstance(value, dict) else {}
    arguments = given.get("arguments")
    why = given.get("why", "")
    return Call(
        plain_text(str(given.get("tool", "")))[:100],
        arguments if isinstance(arguments, dict) else {},
        plain_text(why)[:300] if isinstance(why, str) else "",
    )


def _refusal(call: Call, story: Story, offered: Collection[str], before: list[Call], room: int) -> str:
    """Why the call is not made; empty where it is."""
    if call.tool == MORE:
        return _no_more(call, offered)
    if (already := sum(one.is_made for one in before)) >= min(room, MOST_CALLS):
        return TOO_MANY_STEPS if already >= room else TOO_MANY_CALLS
    try:
        found = made(story.asked, call)
    except ToolUnknown as error:
        return str(error)
    if story.asked.mode is Mode.WATCH and found.risk is not Risk.READ:
        return "this agent only watches: it may call what reads"
    if needs_word(story.asked, TurnOutput(outside=story.outside), call, found):
        return _not_asked(story, call, found) or _again(call, story, before)
    return _again(call, story, before)


def _no_more(call: Call, offered: Collection[str]) -> str:
    try:
        check_size(call.arguments)
    except ToolUnknown as error:
        return str(error)
    return "" if call.tool in offered else "there are no more tools"


def _not_asked(story: Story, call: Call, found: Made) -> str:
    """Why no person is asked about it: they would not see it whole, or have said no often enough."""
    said_no = {result.step.split("-")[1] for result in story.not_allowed}
    if len(said_no) >= DENIED_AT_MOST:
        return f"calls were denied in {len(said_no)} turns: nobody is asked any more"
    if len(json.dumps(found.raw, ensure_ascii=False)) > LONGEST_ASKED:
        return (
            f"a person is asked before it, and would not see all of it: at most {LONGEST_ASKED:,} characters"
        )
    return ""


def _again(call: Call, story: Story, before: list[Call]) -> str:
    """Who was told no is not asked again, and nobody goes round in circles."""
    earlier = story.same(call)
    if any(result.fate is Fate.DENIED for result in earlier):
        return "this very call was denied before: it is not asked for again"
    if any(result.fate is Fate.LAPSED for result in earlier):
        return "nobody decided about this very call before: it is not asked for again"
    now = sum(one.is_made and (one.tool, one.arguments) == (call.tool, call.arguments) for one in before)
    if len(earlier) + now >= SAME_AT_MOST:
        return "this very call was made twice already: a third time brings nothing new"
    return ""


def asked_mode(asked: Asked) -> str:
    """What the model is told of what it may do."""
    return {
        Mode.WATCH: "You only watch: you read and explain. You change nothing.",
        Mode.PROPOSE: "Whatever changes something is first shown to a person, who may say no.",
        Mode.ACT: "You may act within the rules of this box; some calls are shown to a person first.",
        Mode.SHADOW: "You are tried out: calls that change something are not performed, only noted.",
    }[asked.mode]
