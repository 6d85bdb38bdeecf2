"""Whatever a model answers: the run has a clear end with a reason, and nothing is done."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from appliance.inference.errors import TOO_LONG, ModelUnavailable
from tests.integration.agent.loop.conftest import Agent
from tests.scripted_model import Line, end, turn

LOOK = ("readings.last", {"topic": "plant/"})
DEEP = "[" * 200_000
NESTED = '{"calls": [{"tool": "http", "arguments": {"url": "http://a.example", "body": %s}}]}'


@dataclass(frozen=True)
class Case:
    """``ends`` the run's state, ``says`` stands in its reason or warning, or in what the model is told."""

    id: str
    lines: tuple[Line, ...]
    ends: str
    says: str = ""
    told: str = ""
    keys: dict[str, str] = field(default_factory=dict)


def calls(*wanted: Any, **more: Any) -> Any:
    return {"say": "", "calls": list(wanted), "done": False, "answer": "", "changed": False, **more}


def one(tool: Any, arguments: Any, why: Any = "") -> Any:
    return {"tool": tool, "arguments": arguments, "why": why}


def post(body: Any) -> Any:
    """A call with this somewhere in what is sent."""
    return calls(one("http", {"url": "http://a.example", "body": {"value": body}}))


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


TOOLS = "[readings.last, mqtt, http, task_run]"
IDLE = "it made no progress in 3 turns"
CASES = (
    Case("prose", ("Sure! I will.",) * 6, "failed", f"{IDLE}: it is no JSON"),
    Case("half-of-it", ('{"say": "x", "calls": [',) * 6, "failed", f"{IDLE}: it is no JSON"),
    Case(
        "in-a-fence", ('```json\n{"done": true, "answer": "x"}\n```',) * 6, "failed", f"{IDLE}: it is no JSON"
    ),
    Case("a-list", ("[]",) * 6, "failed", f"{IDLE}: it is no JSON object"),
    Case("a-number", ("7",) * 6, "failed", f"{IDLE}: it is no JSON object"),
    Case("nothing", ("{}",) * 6, "failed", f"{IDLE}: it neither calls a tool nor is done"),
    Case("calls-are-none", ('{"calls": {"tool": "mqtt"}}',) * 6, "failed", f"{IDLE}: `calls` is no list"),
    Case("answer-is-none", ('{"answer": ["x"]}',) * 6, "failed", f"{IDLE}: `answer` is no text"),
    Case("nested-without-end", (DEEP,) * 6, "failed", f"{IDLE}: it is no JSON"),
    Case(
        "nested-arguments",
        (NESTED % (DEEP[:900] + "]" * 900), end("No.")),
        "succeeded",
        told="deeper than 12 levels",
    ),
    Case("nested-a-little", (post(nested(40)), end("No.")), "succeeded", told="deeper than 12 levels"),
    Case("not-a-number", (post(float("nan")), end("No.")), "succeeded", told="neither NaN nor Infinity"),
    Case("infinite", (NESTED % '{"a": 1e999}', end("No.")), "succeeded", told="neither NaN nor Infinity"),
    Case("longer-than-64-bits", (post(10**40), end("No.")), "succeeded", told="longer than 64 bits"),
    Case("nul", (post("a\x00b"), end("No.")), "succeeded", told="holds NUL or half a character"),
    Case("half-a-character", (post("\ud83d"), end("No.")), "succeeded", told="holds NUL or half a character"),
    Case(
        "half-a-key",
        (calls(one("http", {"url": "http://a.example", "body": {"\udc00": 1}})), end("No.")),
        "succeeded",
        told="holds NUL or half a character",
    ),
    Case("many-values", (post(list(range(5000))), end("No.")), "succeeded", told="more than 500 values"),
    Case(
        "large-arguments", (post("x" * 900_000), end("No.")), "succeeded", told="more than 32,000 characters"
    ),
    Case(
        "twice-the-same-key",
        (
            '{"calls": [{"tool": "mqtt", "tool": "readings.last", "arguments": {"topic": "a"}}]}',
            end("All is well."),
        ),
        "succeeded",
    ),
    Case(
        "a-tool-that-is-not-there",
        (turn(("teleport", {})), end("No.")),
        "succeeded",
        told="there is no tool 'teleport'",
    ),
    Case(
        "a-tool-of-the-box",
        (turn(("agent_answer", {})), turn(("approval", {"question": "?"})), end("No.")),
        "succeeded",
        told="there is no tool 'approval'",
    ),
    Case(
        "a-tool-without-a-name",
        (calls(one(None, {})), calls(one(7, {})), end("No.")),
        "succeeded",
        told="there is no tool",
    ),
    Case(
        "calls-that-are-none",
        (calls("mqtt", None, 7, []), end("No.")),
        "succeeded",
        told="there is no tool ''",
    ),
    Case(
        "arguments-that-are-none",
        (calls(one("mqtt", "off")), end("No.")),
        "succeeded",
        told="the argument `topic` is missing (it takes topic, payload)",
    ),
    Case(
        "a-reason-that-is-none",
        (calls(one("readings.last", {"topic": "a"}, {"x": 1})), end("All is well.")),
        "succeeded",
    ),
    Case(
        "an-argument-too-many",
        (turn(("mqtt", {"topic": "a", "qos": 2})), end("No.")),
        "succeeded",
        told="there is no argument `qos` (it takes topic, payload)",
    ),
    Case("only-wrong-calls", (turn(("teleport", {})),) * 3, "failed", f"{IDLE}: there is no tool"),
    Case(
        "in-circles",
        (*[turn(LOOK)] * 5, end("No.")),
        "failed",
        "it made no progress in 3 turns: this very call",
    ),
    Case(
        "a-thousand-calls",
        (calls(*[one("readings.last", {"topic": f"t{n}"}) for n in range(1000)]), end("All is well.")),
        "succeeded",
        told="too many calls in one turn: call it in the next one",
    ),
    Case("a-megabyte", (end("x" * 1_000_000),), "succeeded"),
    Case("a-megabyte-of-saying", (turn(LOOK, say="y" * 1_000_000), end("All is well.")), "succeeded"),
    Case("half-a-character-in-its-answer", (end("fine \ud83d \x00 end"),), "succeeded"),
    Case(
        "done-and-yet-calling",
        (turn(("mqtt", {"topic": "a"})) | {"done": True, "answer": "Done"},),
        "waiting:approval",
        keys={"approvals": "each"},
    ),
    Case(
        "claims-what-nobody-did", (turn(LOOK), end("I stopped it.", changed=True)), "succeeded", "nothing was"
    ),
    Case(
        "never-ends",
        tuple(turn(("readings.last", {"topic": f"t{n}"})) for n in range(20)),
        "failed",
        "its budget of 12 steps is used up, and it gave no answer",
        keys={"budget": "{steps: 12}"},
    ),
    Case(
        "answers-tools-in-the-last-turn",
        (turn(LOOK), turn(("mqtt", {"topic": "a"}))),
        "failed",
        "it gave no answer",
        keys={"budget": "{steps: 3}"},
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
async def test_the_run_ends_with_a_reason_and_nothing_was_done(agent: Agent, case: Case) -> None:
    await agent.policy()
    script = agent.says(*case.lines)
    run_id = await agent.ask(tools=TOOLS, **case.keys)
    row = await agent.go_on(run_id)
    inside = await agent.inside()
    ended = await agent.state(inside) if row["state"] == "waiting" else row["state"]
    assert ended == case.ends, row["reason"]
    assert case.says in f"{row['reason']} {row['warning']}"
    assert case.told in "".join(script.told(number) for number in range(len(script.asked)))
    assert agent.world.published == []
    assert await agent.sql("SELECT 1 FROM runs_run WHERE trigger = 't' AND split_id IS NULL") == []
    await small(agent)


async def small(agent: Agent) -> None:
    """However much a model says, the record of a turn stays of a size that a page can show."""
    rows = await agent.sql(
        "SELECT octet_length(output::text) AS size FROM runs_step WHERE step LIKE 'turn-%%'"
    )
    assert all((row["size"] or 0) < 1_200_000 // 10 for row in rows)


async def test_a_model_that_takes_less_than_goal_and_tools_need_is_no_model_for_it(agent: Agent) -> None:
    small_one = ModelUnavailable(
        f"no model can answer this: tiny: {TOO_LONG.format(tokens=9000, context=512)}"
    )
    agent.says(small_one)
    row = await agent.go_on(await agent.ask(tools=TOOLS))
    assert row["state"] == "failed"
    assert "the model takes 512 tokens" in row["reason"]


async def test_a_goal_of_a_megabyte_is_shortened_to_what_is_left(agent: Agent) -> None:
    script = agent.says(end("All is well."))
    run_id = await agent.begin(json.dumps([{
        "name": "t", "trigger": "manual", "vars": {"line": ""},
        "actions": [{"id": "think", "type": "agent", "goal": "Read {{ vars.line }}", "tools": ["mqtt"]}],
    }]), {"vars": {"line": "x" * 200_000}})  # fmt: skip
    row = await agent.go_on(run_id)
    assert row["state"] in ("succeeded", "failed")
    assert all(len(script.told(number)) < 20_000 for number in range(len(script.asked)))
