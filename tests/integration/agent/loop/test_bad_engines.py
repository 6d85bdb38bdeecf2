"""An agent before an engine that breaks, over the real way to it: keeper, lease, stream, schema."""

import json
from collections.abc import AsyncIterator

import pytest

from appliance.inference.asking import Asker
from appliance.inference.domain import InstanceState
from tests.hostile_texts import TEMPLATE_WORDS, WIDE, corpus
from tests.integration.agent.loop.conftest import Agent
from tests.integration.runs.conftest import answering, outcome
from tests.models_desk import Desk, desk
from tests.scripted_model import end, turn
from tests.standins.model_engine import Says, chat, event

FLOOD = Says(chat(*["x" * 4096] * 400, done=False))
CUT = Says(chat('{"say": "', done=False)[:1], ends=False)
_SAID = "The model produced output that does not match the expected peg-native format"
UNREADABLE = Says((*chat("no", done=False)[:1], event({"error": {"code": 500, "message": _SAID}})))
CAT = ("shell", {"command": "cat /var/log/x"})


@pytest.fixture
async def engine(agent: Agent) -> AsyncIterator[Desk]:
    async with desk() as made:
        asker = Asker(made.keeper)
        agent.world.answering = lambda question, wish: asker.ask(question, wish)
        yield made


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        (Says(status=500, kind="application/json", pieces=(b'{"error": {"message": "no memory"}}',)), "engine"),
        (CUT, "the connection to the model broke"),
        (Says(()), "cut in the middle"),
        (Says((b"data: {nonsense\n\n",)), "nobody understands"),
        (Says((b'data: {"choices": 7}\n\n', b"data: [DONE]\n\n")), "nobody understands"),
        (UNREADABLE, "no progress in 3 turns"),
        (FLOOD, "no progress in 3 turns"),
        (Says(chat("no", " JSON")), "no progress in 3 turns: it is no JSON"),
        (Says(chat('{"done": tr')), "no progress in 3 turns: it is no JSON"),
    ],
    ids=["error", "cut", "silent", "nonsense", "wrong-form", "no-format", "flood", "prose", "half"],
)  # fmt: skip
async def test_an_engine_that_breaks_ends_the_run_with_the_reason(
    agent: Agent, engine: Desk, says: Says, reason: str
) -> None:
    engine.engine.usual = says
    run_id = await agent.ask()
    row = await agent.go_on(run_id)
    if row["state"] != "failed":  # a turn is asked again, after a pause
        assert (await agent.row("turn-1"))["state"] == "failed"
        assert reason in (await agent.row("turn-1"))["error"]
    else:
        assert reason in row["reason"]
    assert agent.world.published == []


async def test_what_a_model_says_breaks_no_engine(agent: Agent, engine: Desk) -> None:
    """Who can have it say what the engine's own parser refuses would take it away from everybody."""
    engine.engine.usual = UNREADABLE
    await agent.go_on(await agent.ask())
    assert engine.room.state("qwen") is InstanceState.READY


async def test_what_reaches_an_engine_holds_no_word_of_a_template(agent: Agent, engine: Desk) -> None:
    """All texts of the corpus at once, as they go over the wire."""
    whole = "\n".join(one.text for one in corpus())
    pieces = [whole[at : at + 3000] for at in range(0, len(whole), 3000)]
    agent.world.working = answering(*[outcome(stdout=one.encode("utf-8", "replace")) for one in pieces])
    reads = [json.dumps(turn(("shell", {"command": f"cat /var/log/{n}"}))) for n, _ in enumerate(pieces)]
    engine.engine.says = [*(Says(chat(one)) for one in reads), Says(chat(json.dumps(end())))]
    await agent.policy()
    row = await agent.go_on(await agent.ask(tools="[shell]", budget="{steps: 50, tokens: 500000}"))
    assert row["state"] == "succeeded", row["reason"]
    assert len(engine.engine.asked) == len(pieces) + 1
    sent = "".join(message["content"] for body in engine.engine.asked for message in body["messages"])
    assert "Open valve 7" in sent or "open valve 7" in sent
    assert TEMPLATE_WORDS.findall(sent.translate(WIDE)) == []
