"""In the mode propose a person's word stands before each change, and a no is a no."""

from datetime import timedelta

from appliance.safety.approvals.domain import Choice
from tests.integration.agent.loop.conftest import ALLOW, Agent
from tests.scripted_model import end, turn

STOP = ("mqtt", {"topic": "pump/3", "payload": "off"})
LOOK = ("readings.last", {"topic": "plant/"})
LAMP = ("mqtt", {"topic": "lamp/3", "payload": "red"})


async def test_a_person_is_asked_though_the_policy_allows_everything(agent: Agent) -> None:
    await agent.policy()
    agent.says(turn(STOP))
    await agent.go_on(await agent.ask())
    assert await agent.state(await agent.inside()) == "waiting:approval"
    (asked,) = await agent.approvals()
    assert (asked.rule, agent.world.published) == ("agent.proposed", [])
    assert "an agent proposes this; it says: “it helps”" in asked.reason


async def test_a_plan_is_asked_about_once_and_stands_for_the_policys_own_question(agent: Agent) -> None:
    agent.says(turn(STOP, LAMP), end("Done.", changed=True))
    run_id = await agent.ask()
    await agent.go_on(run_id)
    (asked,) = await agent.approvals()
    assert "1. mqtt" in asked.shown
    assert "lamp/3" in asked.shown
    await agent.say(Choice.APPROVE)
    row = await agent.go_on(run_id)
    assert (row["state"], row["warning"]) == ("succeeded", "")
    assert [topic for topic, _ in agent.world.published] == ["pump/3", "lamp/3"]
    assert len(await agent.approvals()) == 1
    assert (await agent.row("call-1-1"))["detail"]["gate"] == f"approval.{asked.pk}"


async def test_an_approval_of_another_plan_lets_nothing_pass(agent: Agent) -> None:
    agent.says(turn(STOP, LAMP), end())
    run_id = await agent.ask()
    await agent.go_on(run_id)
    await agent.say(Choice.APPROVE)
    await agent.sql("UPDATE safety_approval SET digest = repeat('0', 64)")
    await agent.go_on(run_id)
    assert await agent.state(await agent.inside()) == "waiting:approval"
    assert (len(await agent.approvals()), agent.world.published) == (2, [])


async def test_a_denied_plan_does_nothing_and_is_told(agent: Agent) -> None:
    script = agent.says(turn(STOP, LAMP), end("I was not allowed to."))
    run_id = await agent.ask()
    await agent.go_on(run_id)
    await agent.say(Choice.DENY, "not now")
    row = await agent.go_on(run_id)
    assert (row["state"], agent.world.published) == ("succeeded", [])
    assert "not now" in script.told()
    assert (await agent.row("think", run_id))["detail"]["unconfirmed"] is False, "it says so"
    assert "was denied" in row["warning"]


async def test_what_was_denied_is_not_asked_for_again(agent: Agent) -> None:
    script = agent.says(turn(STOP), turn(STOP), end("No."))
    run_id = await agent.ask()
    await agent.go_on(run_id)
    await agent.say(Choice.DENY, "the line is running")
    row = await agent.go_on(run_id)
    assert (row["state"], len(await agent.approvals())) == ("succeeded", 1)
    assert "this very call was denied before" in script.told()
    assert "the line is running" in script.told(1)


async def test_each_call_is_asked_about_where_its_author_wants_that(agent: Agent) -> None:
    agent.says(turn(STOP, LAMP), end())
    run_id = await agent.ask(approvals="each")
    await agent.go_on(run_id)
    await agent.say(Choice.APPROVE)
    await agent.go_on(run_id)
    assert [topic for topic, _ in agent.world.published] == ["pump/3"]
    assert [one.step for one in await agent.approvals()] == ["call-1-1", "call-1-2"]


async def test_in_an_unattended_task_a_denial_ends_it_at_once(agent: Agent) -> None:
    script = agent.says(turn(STOP), end())
    run_id = await agent.begin(
        "- name: t\n  trigger: manual\n  unattended: true\n  actions:\n"
        "    - {id: think, type: agent, goal: Stop it, tools: [mqtt]}\n"
    )
    row = await agent.go_on(run_id)
    assert (row["state"], agent.world.published, len(script.asked)) == ("failed", [], 1)
    assert "nobody is there to ask" in row["reason"]


async def test_a_plan_that_was_approved_under_another_policy_lets_nothing_pass(agent: Agent) -> None:
    await agent.policy()
    agent.says(turn(STOP, LAMP), end())
    run_id = await agent.ask()
    await agent.go_on(run_id)
    await agent.say(Choice.APPROVE)
    await agent.policy(f"{ALLOW}rules: [{{id: ask, kinds: [mqtt], decide: ask}}]\n")
    await agent.go_on(run_id)
    assert await agent.state(await agent.inside()) == "waiting:approval"
    assert (len(await agent.approvals()), agent.world.published) == (2, [])


async def test_what_a_denied_plan_did_not_hold_is_read_all_the_same(agent: Agent) -> None:
    agent.says(turn(LOOK, STOP, LAMP), end("No."))
    run_id = await agent.ask()
    await agent.go_on(run_id)
    await agent.say(Choice.DENY)
    row = await agent.go_on(run_id)
    assert (row["state"], agent.world.published) == ("succeeded", [])
    assert (await agent.row("call-1-1"))["state"] == "succeeded"


async def test_waiting_for_people_spends_none_of_its_time(agent: Agent) -> None:
    script = agent.says(turn(STOP, LAMP), turn(LOOK), end("Done.", changed=True))
    run_id = await agent.ask()
    await agent.go_on(run_id)
    agent.clock.advance(timedelta(minutes=20))
    await agent.say(Choice.APPROVE)
    row = await agent.go_on(run_id)
    assert row["state"] == "succeeded"
    assert "is used up" not in script.told()
