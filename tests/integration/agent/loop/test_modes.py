"""Modes: what an agent may do by itself."""

from typing import Any

from asgiref.sync import sync_to_async

from appliance.accounts.principal import BOX
from appliance.actions.contract import TargetAway
from appliance.safety.allstop import engage
from appliance.safety.stop import Level
from tests.integration.agent.loop.conftest import Agent
from tests.scripted_model import end, turn

STOP = ("mqtt", {"topic": "pump/3", "payload": "off"})
LOOK = ("readings.last", {"topic": "plant/"})


async def test_who_watches_is_given_no_tool_that_changes_and_may_call_none(agent: Agent) -> None:
    await agent.policy()
    script = agent.says(turn(STOP), turn(LOOK), end())
    run_id = await agent.ask(mode="watch")
    row = await agent.go_on(run_id)
    assert (row["state"], agent.world.published) == ("succeeded", [])
    assert "mqtt(" not in script.told(0)
    assert "only watches" in script.told(1)


async def test_in_act_the_policy_decides_while_nothing_came_from_outside(agent: Agent) -> None:
    await agent.policy()
    agent.says(turn(STOP), end("Stopped.", changed=True))
    row = await agent.go_on(await agent.ask(mode="act"))
    assert (row["state"], row["warning"]) == ("succeeded", "")
    assert agent.world.published == [("pump/3", b"off")]


async def test_in_act_what_an_agent_calls_is_asked_for_where_no_policy_says_otherwise(agent: Agent) -> None:
    agent.says(turn(STOP))
    await agent.go_on(await agent.ask(mode="act"))
    assert await agent.state(await agent.inside()) == "waiting:approval"
    (asked,) = await agent.approvals()
    assert asked.rule.startswith("box/default")


async def test_in_act_a_rule_about_agents_counts_whatever_started_the_run(agent: Agent) -> None:
    await agent.policy(
        "policy: 1\nname: t\nlayer: box\ndefault: allow\n"
        "rules: [{id: no, origin: agent, kinds: [mqtt], decide: deny, reason: hands off}]\n"
    )
    script = agent.says(turn(STOP), end("I could not."))
    row = await agent.go_on(await agent.ask(mode="act"))
    assert agent.world.published == []
    assert "hands off" in script.told()
    assert "was denied" in row["warning"]


async def test_in_shadow_nothing_is_done_and_what_would_have_been_is_kept(agent: Agent) -> None:
    script = agent.says(turn(STOP), end("I would have stopped it."))
    run_id = await agent.ask(mode="shadow")
    row = await agent.go_on(run_id)
    assert (row["state"], agent.world.published, await agent.approvals()) == ("succeeded", [], [])
    call = await agent.row("call-1-1")
    assert (call["state"], call["detail"]["verdict"]) == ("skipped", "ask")
    would: list[Any] = (await agent.row("think", run_id))["detail"]["would_have_done"]
    assert [one["tool"] for one in would] == ["mqtt"]
    assert "held back" in script.told()


async def test_a_called_task_is_judged_as_an_agents_and_by_its_ceiling(agent: Agent) -> None:
    await agent.policy()
    await agent.load("- name: other\n  trigger: manual\n  actions: [{type: mqtt, topic: other}]\n")
    agent.says(turn(("task_run", {"task": "other"})), end())
    run_id = await agent.begin(
        "- name: t\n  trigger: manual\n  principal: viewer\n  actions:\n"
        "    - {id: think, type: agent, goal: Run it, tools: [task_run], mode: act}\n"
    )
    await agent.go_on(run_id)
    assert agent.world.published == []
    assert "viewer" in (await agent.row("call-1-1"))["error"]


async def test_the_steps_own_condition_on_the_plant_holds_each_of_its_calls(agent: Agent) -> None:
    await agent.policy()
    agent.says(turn(STOP), end())
    gate = "{plant_state: \"{{ vars.line == 'free' }}\"}"
    await agent.go_on(await agent.ask(mode="act", trust="[mqtt]", gate=gate))
    assert (await agent.state(await agent.inside()), agent.world.published) == ("waiting:plant_state", [])


async def test_a_stop_that_cuts_what_leaves_asks_no_model(agent: Agent) -> None:
    script = agent.says(end())
    worker = agent.worker()
    worker._ledger.on_queued = lambda run_ids: None
    await agent.perform(await agent.ask(), worker)
    await sync_to_async(engage)(Level.CUT, "test", BOX, agent.clock.now(), agent.home)
    await agent.perform(await agent.inside())
    assert await agent.state(await agent.inside()) == "waiting:all_stop"
    assert script.asked == []


async def test_what_is_only_noted_waits_for_no_target_that_is_away(agent: Agent) -> None:
    async def away(topic: str, payload: bytes) -> None:
        raise TargetAway("the broker is away")

    agent.world.publishing = away
    await agent.load("- name: other\n  trigger: manual\n  actions: [{type: mqtt, topic: pump/3}]\n")
    first = await agent.start("other")
    await agent.perform(first)
    assert (await agent.run(first))["state"] == "waiting"
    agent.says(turn(STOP), end("I would have."))
    row = await agent.go_on(await agent.ask(mode="shadow"))
    assert (row["state"], (await agent.row("call-1-1"))["state"]) == ("succeeded", "skipped")
