"""Tool calls as the agent makes them: by a JSON schema, since no engine of ours is sure to enforce a forced tool. The
engine is not believed: every answer is checked."""

import json
from collections.abc import Sequence
from typing import Any

from appliance.inference.acceptance.domain import Bound, Check, Result, Subject, Unit, is_text, share
from appliance.inference.acceptance.engine import EngineRefused, Said
from appliance.lib.json_schema import misfit
from appliance.lib.jsontypes import JsonObject
from appliance.lib.said import say

NAME = "conformance"
_TOKENS = 400
# Of a model of noise bytes that are no character would count differently here than in the engine's grammar.
_TEXT = {"type": "string", "pattern": "^[A-Za-z0-9 ./-]{1,40}$"}

TOOLS: dict[str, Any] = {
    "switch": {"device": {"enum": ["pump-1", "fan-2", "light-hall"]}, "on": {"type": "boolean"}},
    "set_point": {"device": {"enum": ["oven-1", "press-7"]}, "value": {"type": "integer"}},
    "run_task": {"task": {"enum": ["restart_line", "night_report"]}, "reason": _TEXT},
    "notify": {"to": {"enum": ["shift", "maintenance"]}, "message": _TEXT},
    "read_topic": {"topic": _TEXT},
    "report": {
        "level": {"enum": ["info", "warning", "critical"]},
        "findings": {
            "type": "array",
            "minItems": 1,
            "maxItems": 3,
            "items": {"enum": ["heat", "noise", "leak", "other"]},
        },
    },
}
"""Each tool's arguments; all of them have to be given."""

CASES: Sequence[tuple[str, tuple[str, ...]]] = (
    ("Switch the light in the hall off.", ("switch",)),
    ("把 2 号风机打开。", ("switch",)),
    ("Set oven-1 to 180 degrees.", ("switch", "set_point")),
    ("夜班报告该生成了。", ("run_task", "notify")),
    ("Tell maintenance that press-7 loses oil.", ("notify", "run_task", "read_topic")),
    ("What does the sensor on hall/3/temperature say?", ("read_topic", "switch", "notify")),
    ("Press-7 is hot and leaks. Write it down.", ("report",)),
    ("3 号压机异响并且漏油，请处理。", tuple(TOOLS)),
)
"""What is asked, and which tools there are."""


def schema_of(names: Sequence[str]) -> JsonObject:
    """A call of one of these: its name out of a closed list, and its arguments."""
    calls = [_call(name) for name in names]
    return calls[0] if len(calls) == 1 else {"anyOf": [*calls]}


def _call(name: str) -> JsonObject:
    arguments: JsonObject = {
        "type": "object",
        "properties": TOOLS[name],
        "required": [*TOOLS[name]],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {"name": {"const": name}, "arguments": arguments},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


async def run(subject: Subject) -> Result:
    wrong: list[str] = []
    for asked, names in CASES:
        schema = schema_of(names)
        system = (
            f"Call one of these tools: {', '.join(names)}. Answer with its name and arguments as JSON only."
        )
        try:
            said = await subject.engine.say(
                [("system", system), ("user", asked)], max_tokens=_TOKENS, schema=schema
            )
        except EngineRefused as error:
            wrong.append(f"{asked} {error.message}")
            continue
        if fault := why_not(said, schema):
            wrong.append(f"{asked} {fault}")
    whole, good = len(CASES), len(CASES) - len(wrong)
    said_all = say("%(good)d of %(whole)d tool calls fit their schema", good=good, whole=whole)
    detail = "; ".join([said_all, *wrong[:3]]) if wrong else said_all
    return Result(NAME, share(good, whole), 1.0, Bound.AT_LEAST, Unit.SHARE, detail)


def why_not(said: Said, schema: JsonObject) -> str:
    """Why an answer does not fit; empty where it does."""
    if said.finish == "length" or said.flooded:
        return say("the answer was cut: it was longer than it may be")
    try:
        value = json.loads(said.text)
    except ValueError:
        return say("the answer is no JSON: %(text)s", text=said.text.strip()[:80])
    except RecursionError:
        return say("the answer does not fit: %(why)s", why=say("it nests without end, or a number has none"))
    try:
        wrong = misfit(schema, value)
    except (RecursionError, OverflowError):
        return say("the answer does not fit: %(why)s", why=say("it nests without end, or a number has none"))
    return say("the answer does not fit: %(why)s", why=wrong.message[:160]) if wrong is not None else ""


CHECK = Check(NAME, is_text, run)
