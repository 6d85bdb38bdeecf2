"""A budget of tokens of the policy, or of a task, holds for steps that ask models: agents and ``llm`` together."""

from datetime import timedelta

from appliance.inference.asking import Question, Reply
from appliance.inference.leases import Wish
from tests.integration.agent.loop.conftest import Agent
from tests.integration.runs.conftest import task
from tests.scripted_model import CHOSEN, end, turn

LOOK = ("readings.last", {"topic": "plant/"})
A_DAY = "policy: 1\nname: t\nlayer: box\ndefault: allow\nbudgets: [{id: day, tokens: 150, per: 1d, %s}]\n"
ASK = "    - {id: ask, type: llm, prompt: 'Is it hot?'}\n"


async def test_an_agent_waits_in_the_middle_until_there_are_tokens_again(agent: Agent) -> None:
    await agent.policy(A_DAY % "kinds: [agent, llm]")
    script = agent.says(turn(LOOK), turn(("readings.last", {"topic": "b"})), end())
    run_id = await agent.ask()
    await agent.go_on(run_id)
    inside = await agent.inside()
    assert await agent.state(inside) == "waiting:budget"
    assert (await agent.run(inside))["reason"] == "the budget of 150 tokens per 1d is used up"
    assert len(script.asked) == 2, "the one that goes over it is known only afterwards"
    await agent.pass_time(inside, timedelta(hours=25))
    await agent.reconciler.wake_due()
    assert (await agent.go_on(run_id))["state"] == "succeeded"


async def test_one_that_denies_fails_the_turn(agent: Agent) -> None:
    await agent.policy(A_DAY % "kinds: agent, then: deny, reason: enough for today")
    agent.says(turn(LOOK), turn(("readings.last", {"topic": "b"})), end())
    row = await agent.go_on(await agent.ask())
    assert row["state"] == "failed"
    assert "enough for today" in row["reason"]


async def test_llm_and_agents_spend_from_one_purse(agent: Agent) -> None:
    async def answering(question: Question, wish: Wish) -> Reply:
        return Reply("yes", None, CHOSEN, 0.1, 140, 20)

    await agent.policy(A_DAY % "kinds: [agent, llm]")
    agent.world.answering = answering
    first = await agent.perform(await agent.begin(task(ASK)))
    assert first["state"] == "succeeded"
    second = await agent.perform(await agent.start("t"))
    assert (second["state"], second["waiting_for"]) == ("waiting", "budget")
    script = agent.says(end())
    await agent.go_on(await agent.ask())
    assert await agent.state(await agent.inside()) == "waiting:budget"
    assert script.asked == []


async def test_a_tasks_own_budget_counts_its_tokens(agent: Agent) -> None:
    async def answering(question: Question, wish: Wish) -> Reply:
        return Reply("yes", None, CHOSEN, 0.1, 140, 20)

    agent.world.answering = answering
    run_id = await agent.begin(task(ASK, budget="{tokens: 100, per: 1d, then: deny}"))
    assert (await agent.perform(run_id))["state"] == "succeeded"
    row = await agent.perform(await agent.start("t"))
    assert row["state"] == "failed"
    assert "the budget of 100 tokens per 1d is used up" in row["reason"]


async def test_without_such_a_budget_nothing_is_counted(agent: Agent) -> None:
    agent.says(end())
    await agent.go_on(await agent.ask())
    assert await agent.sql("SELECT 1 FROM safety_spending WHERE what = 'tokens'") == []
