"""A run that goes on from an agent has its conversation: no turn is asked again, and nothing is done a second time."""

import pytest
from asgiref.sync import sync_to_async

from appliance.accounts.principal import BOX
from appliance.inference.errors import ModelRefused
from appliance.runs import services
from appliance.runs.fork import WouldRepeat
from appliance.runs.shards.keeper import ShardKeeper
from appliance.safety.approvals.domain import Choice
from tests.integration.agent.loop.conftest import Agent
from tests.integration.agent.loop.test_crashes import deaths
from tests.integration.runs.test_resume import resume
from tests.integration.runs.test_shards import whole
from tests.scripted_model import end, turn

__all__ = ["deaths"]

OPEN = ("shell", {"command": "/usr/bin/open-valve 7"})
SAY = ("mqtt", {"topic": "lamp", "payload": "red"})
LOOK = ("readings.last", {"topic": "plant/"})
AWAY = ModelRefused("the model is not what it was")
KEYS = {"tools": "[shell, mqtt, readings.last]", "mode": "act", "trust": "[shell, mqtt]"}


async def test_one_that_failed_goes_on_with_the_turn_that_failed(agent: Agent) -> None:
    await agent.policy()
    script = agent.says(turn(OPEN), turn(SAY), AWAY, end("Done.", changed=True))
    old = await agent.ask(**KEYS)
    assert (await whole(agent, old))["state"] == "failed"
    new = await resume(agent, old)
    row = await whole(agent, new)
    assert (row["state"], row["warning"]) == ("succeeded", "")
    assert len(script.asked) == 4, "of the turns only the one that failed"
    assert (len(agent.world.jobs), len(agent.world.published)) == (1, 1)
    assert "open-valve" in script.told(), "it is told what went before"
    detail = (await agent.row("think", new))["detail"]
    assert [one["step"] for one in detail["did"]] == ["call-1-1", "call-2-1"]
    assert (await agent.row("after", new))["output"] == "Done."


async def test_inside_of_a_foreach_too(agent: Agent) -> None:
    await agent.policy()
    script = agent.says(turn(OPEN), AWAY, end(changed=True))
    old = await agent.begin(
        "- name: t\n  trigger: manual\n  actions:\n    - id: each\n      type: foreach\n      items: [a]\n"
        "      actions:\n"
        "        - {id: think, type: agent, goal: x, tools: [shell], mode: act, trust: [shell]}\n"
    )
    assert (await whole(agent, old))["state"] == "failed"
    assert (await whole(agent, await resume(agent, old)))["state"] == "succeeded"
    assert (len(agent.world.jobs), len(script.asked)) == (1, 3)


async def test_one_that_got_nowhere_is_asked_again_and_its_calls_stay(agent: Agent) -> None:
    await agent.policy()
    script = agent.says(turn(OPEN), *["prose"] * 6, end("Now I know.", changed=True))
    old = await agent.ask(**KEYS)
    row = await whole(agent, old)
    assert "no progress" in row["reason"]
    row = await whole(agent, await resume(agent, old))
    assert row["state"] == "succeeded"
    assert (len(agent.world.jobs), len(script.asked)) == (1, 8)


async def test_what_it_calls_is_still_an_agents(agent: Agent) -> None:
    """What a shard brings of its origins is not lost where it is taken over."""
    agent.says(turn(LOOK), AWAY, turn(SAY), end(changed=True))
    old = await agent.ask(**{**KEYS, "trust": "[mqtt]"})
    assert (await whole(agent, old))["state"] == "failed"
    await agent.go_on(await resume(agent, old))
    rows = await agent.shards()
    assert [row["inputs"]["origins"] for row in rows] == [["agent"]] * 2
    assert (rows[-1]["waiting_for"], agent.world.published) == ("approval", [])
    await agent.say(Choice.APPROVE)


async def test_a_call_of_which_nobody_knows_is_named_before_it_is_done_again(
    agent: Agent, deaths: dict[str, int]
) -> None:
    await agent.policy()
    agent.says(turn(OPEN), end(changed=True))
    old = await agent.ask(**KEYS)
    deaths["worker.after_effect"] = 3  # the step that is split, the turn, the call
    await agent.go_on(old)
    inside = await agent.inside()
    await agent.recover(inside)
    await agent.perform(inside)
    assert await agent.state(inside) == "waiting:ambiguous"
    await sync_to_async(services.cancel)(old, BOX)
    for _ in range(2):
        await ShardKeeper(agent.pool).look()
    with pytest.raises(WouldRepeat, match="call-1-1"):
        await resume(agent, old)


async def test_begun_again_it_begins_anew(agent: Agent) -> None:
    await agent.policy()
    script = agent.says(turn(SAY), AWAY, turn(SAY), end(changed=True))
    old = await agent.ask(**KEYS)
    assert (await whole(agent, old))["state"] == "failed"
    new = await sync_to_async(services.start_again)(old, BOX, agent.clock.now())
    assert (await whole(agent, new))["state"] == "succeeded"
    assert (len(script.asked), len(agent.world.published)) == (4, 2)
