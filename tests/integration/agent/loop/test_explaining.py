"""What an agent did is explained from its rows, and taken back through the engine's own undo."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from appliance.accounts.domain import Ability, Role
from appliance.accounts.models import User
from appliance.accounts.principal import CONSOLE, NotAllowed, Principal
from appliance.agent.errors import AgentNotFound
from appliance.agent.explaining.domain import AgentView, Undo
from appliance.agent.explaining.services import agents, explain
from appliance.agent.loop.story import Fate
from appliance.agent.undoing import undo
from appliance.audit.bundle.archive import unpack
from appliance.lib.digest import sha256_hex
from appliance.runs.ended import Resume, resume
from appliance.runs.evidence.services import export_run
from appliance.runs.fork import ForkRefused
from appliance.runs.services import NotNow
from appliance.safety.approvals.domain import Choice
from tests.integration.agent.loop.conftest import Agent
from tests.scripted_model import end, turn

OFF = ("mqtt", {"topic": "pump/3", "payload": "off"})
LAMP = ("mqtt", {"topic": "lamp/3", "payload": "red"})
LOOK = ("readings.last", {"topic": "plant/"})
TOOLS = "[readings.last, {mqtt: {undo: {payload: back}}}]"
ANA = Principal("user:ana", Role.ENGINEER)


async def seen(run_id: Any) -> AgentView:
    (found,) = await sync_to_async(agents)(run_id, ANA)
    return found


async def test_it_is_told_turn_after_turn_from_the_run_around_it_and_from_its_own(agent: Agent) -> None:
    await agent.policy()
    agent.says(turn(LOOK, say="I look first."), turn(OFF), end("Stopped.", changed=True))
    run_id = await agent.ask(mode="act", trust="[mqtt]")
    await agent.go_on(run_id)
    view = await seen(run_id)
    assert [one.say for one in view.turns] == ["I look first.", "I look.", "I am done."]
    assert [call.fate for one in view.turns for call in one.calls] == [Fate.DONE, Fate.DONE]
    assert view.turns[1].calls[0].gate.startswith("box/default")
    assert (view.cost.steps, view.cost.tokens) == (5, 300)
    assert view.answer is not None
    assert [one["tool"] for one in view.answer.did] == ["mqtt"]
    assert await seen(await agent.inside()) == view


async def test_a_turn_has_what_was_sent_what_came_and_what_decided(agent: Agent) -> None:
    await agent.policy()
    agent.says(turn(LOOK), turn(OFF), end())
    run_id = await agent.ask()
    await agent.go_on(run_id)
    await agent.say(Choice.APPROVE, "go on")
    run = await agent.go_on(run_id)
    assert run["state"] == "succeeded"
    found = await sync_to_async(explain)(run_id, "think", 2, ANA)
    assert any(piece.outside and piece.of == "readings.last" for piece in found.sent)
    assert not found.sent[0].outside
    assert '"pump/3"' in found.came
    assert found.turn.came_digest == sha256_hex(found.came.encode())
    (word,) = found.turn.calls[0].words
    assert (word.state, word.by, word.reason) == ("used", ("anna",), "go on")
    with pytest.raises(AgentNotFound):
        await sync_to_async(explain)(run_id, "think", 9, ANA)
    with pytest.raises(AgentNotFound):
        await sync_to_async(explain)(run_id, "other", 1, ANA)


async def test_who_may_not_look_is_told_nothing(agent: Agent) -> None:
    agent.says(end())
    run_id = await agent.ask()
    await agent.go_on(run_id)
    talker = Principal("token:ana/talker", Role.ENGINEER, scopes=frozenset({Ability.CHAT}))
    for door in (lambda: agents(run_id, talker), lambda: explain(run_id, "think", 1, talker)):
        with pytest.raises(NotAllowed):
            await sync_to_async(door)()


async def test_one_turn_is_taken_back_then_the_rest_newest_first(agent: Agent) -> None:
    await agent.policy()
    agent.says(turn(OFF), turn(LAMP, OFF), end("Done.", changed=True))
    run_id = await agent.ask(mode="act", trust="[mqtt]", tools=TOOLS)
    await agent.go_on(run_id)
    inside, published = await agent.inside(), agent.world.published
    assert published == [("pump/3", b"off"), ("lamp/3", b"red"), ("pump/3", b"off")]
    published.clear()
    assert await sync_to_async(undo)(inside, ANA, 2) == ("call-2-2", "call-2-1")
    assert (await agent.perform(inside))["state"] == "undone"
    assert published == [("pump/3", b"back"), ("lamp/3", b"back")]
    view = await seen(run_id)
    assert [call.undo for one in view.turns for call in one.calls] == [Undo.POSSIBLE, Undo.DONE, Undo.DONE]
    published.clear()
    assert await sync_to_async(undo)(inside, ANA) == ("call-1-1",)
    await agent.perform(inside)
    assert published == [("pump/3", b"back")]
    with pytest.raises(NotNow):
        await sync_to_async(undo)(inside, ANA)


async def test_nothing_is_built_on_what_was_taken_back(agent: Agent) -> None:
    await agent.policy()
    agent.says(turn(OFF), end("Done.", changed=True))
    run_id = await agent.ask(mode="act", trust="[mqtt]", tools=TOOLS)
    await agent.go_on(run_id)
    await sync_to_async(undo)(await agent.inside(), ANA)
    await agent.perform(await agent.inside())
    with pytest.raises(ForkRefused, match="taken back"):
        await sync_to_async(resume)(run_id, ANA, Resume(step="think"))


async def test_the_run_around_it_and_its_count_stay_as_they_were(agent: Agent) -> None:
    await agent.policy()
    agent.says(turn(OFF), end("Done.", changed=True))
    run_id = await agent.ask(mode="act", trust="[mqtt]", tools=TOOLS)
    before = await agent.go_on(run_id)
    inside = await agent.inside()
    await sync_to_async(undo)(inside, ANA)
    await agent.perform(inside)
    after = await agent.go_on(run_id)
    assert (after["state"], after["version"]) == (before["state"], before["version"])
    (split,) = await agent.sql("SELECT succeeded, failed, outcome FROM runs_split")
    assert (split["succeeded"], split["failed"], split["outcome"]) == (1, 0, "succeeded")


async def test_taking_back_passes_the_gate_as_the_act_of_whoever_asked(agent: Agent) -> None:
    await agent.policy()
    agent.says(turn(OFF), end("Done.", changed=True))
    await agent.go_on(await agent.ask(mode="act", trust="[mqtt]", tools=TOOLS))
    inside = await agent.inside()
    await agent.policy(
        "policy: 1\nname: t\nlayer: box\ndefault: allow\n"
        "rules: [{id: no, kinds: [mqtt], decide: deny, reason: hands off}]\n"
    )
    agent.world.published.clear()
    await sync_to_async(undo)(inside, ANA)
    await agent.perform(inside)
    view = await seen(inside)
    assert agent.world.published == []
    assert view.turns[0].calls[0].undo is Undo.FAILED
    assert "hands off" in view.turns[0].calls[0].back.said
    asked = "SELECT body FROM audit_record WHERE body LIKE %s AND body LIKE %s"
    (record,) = await agent.sql(asked, '%"run.undo"%', f"%{inside}%")
    assert "user:ana" in record["body"]


async def test_nothing_is_taken_back_while_it_is_under_way_nor_by_who_may_not(agent: Agent) -> None:
    agent.says(turn(OFF))
    run_id = await agent.ask(tools=TOOLS)
    await agent.go_on(run_id)
    inside = await agent.inside()
    with pytest.raises(NotNow):
        await sync_to_async(undo)(inside, ANA)
    with pytest.raises(NotAllowed):
        await sync_to_async(undo)(inside, Principal("user:vic", Role.VIEWER))
    with pytest.raises(NotNow):
        await sync_to_async(undo)(run_id, ANA)


async def test_what_a_safe_step_did_is_never_taken_back(agent: Agent) -> None:
    await agent.policy()
    agent.says(turn(OFF), end("Done.", changed=True))
    await agent.go_on(await agent.ask(mode="act", trust="[mqtt]", tools=TOOLS, safe_state="true"))
    with pytest.raises(NotNow):
        await sync_to_async(undo)(await agent.inside(), ANA)


async def test_a_call_that_was_not_done_is_not_taken_back(agent: Agent) -> None:
    await agent.policy()
    agent.says(turn(OFF), end("I would have."))
    await agent.go_on(await agent.ask(mode="shadow", tools=TOOLS))
    assert (await seen(await agent.inside())).undoable == ()
    with pytest.raises(NotNow):
        await sync_to_async(undo)(await agent.inside(), ANA)


async def test_the_bundle_of_a_run_has_its_agents_transcripts_decisions_and_words(agent: Agent) -> None:
    await agent.policy()
    agent.says(turn(OFF), end("Stopped.", changed=True))
    run_id = await agent.ask()
    await agent.go_on(run_id)
    await agent.say(Choice.APPROVE, "the pump is hot")
    await agent.go_on(run_id)
    files = unpack((await sync_to_async(export_run)(run_id, CONSOLE, datetime.now(UTC))).content)
    (grown,) = json.loads(files["grown.json"])
    first = next(one for one in grown["steps"] if one["step"] == "turn-1")
    assert "Find out why pump 3 is hot." in first["detail"]["sent"]
    assert first["detail"]["came_digest"] == sha256_hex(first["detail"]["came"].encode())
    assert [one["decisions"][0]["reason"] for one in grown["approvals"]] == ["the pump is hot"]
    assert f"{await agent.inside()}/call-1-1" in files["audit.jsonl"].decode()
    assert "policy/box-v1.yaml" in files


@pytest.fixture(autouse=True)
async def _people(agent: Agent) -> None:
    await sync_to_async(User.objects.get_or_create)(username="ana", defaults={"role": "engineer"})
