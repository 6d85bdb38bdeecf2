"""What an agent makes or asks for does no more than its turn may: jobs keep its ceiling, databases only read, commands
pass the policy."""

import psycopg
import pytest
from asgiref.sync import sync_to_async

from appliance.accounts.principal import BOX, CONSOLE
from appliance.agent.models import AgentProposal
from appliance.agent.proposals.services import take
from appliance.agent.suite.shop import Shop
from appliance.safety.secrets import set_secret
from tests.integration.agent.loop.conftest import Agent
from tests.scripted_model import end, turn

RICH = """- name: rich
  trigger: manual
  principal: engineer
  actions: [{id: sell, type: sql, database: shop, query: "INSERT INTO part VALUES ('nut')", write: true}]
"""
NIGHT = "- name: night\n  trigger: manual\n  actions: [{id: go, type: task, task: rich}]\n"
CHILD = """- name: child
  trigger: manual
  actions:
    - {id: think, type: agent, goal: Propose more, tools: [task_propose]}
"""
GREEDY = "- name: more\n  trigger: manual\n  principal: engineer\n  actions: [{type: set, value: 1}]\n"


@pytest.fixture
async def shop(agent: Agent, suite_shop: Shop) -> Shop:
    suite_shop.furnish("CREATE TABLE part (name text); INSERT INTO part VALUES ('seal')")
    await sync_to_async(set_secret)("shop", suite_shop.address, BOX, agent.clock.now())
    await agent.policy()
    return suite_shop


def rows(shop: Shop) -> int:
    with psycopg.connect(shop.address) as inside:
        (count,) = inside.execute("SELECT count(*) FROM part").fetchone() or (0,)
    return int(count)


def proposing(text: str) -> tuple[str, dict[str, str]]:
    return "task_propose", {"task": text, "why": "x"}


async def taken_by_an_administrator(agent: Agent, name: str) -> AgentProposal:
    row = await AgentProposal.objects.aget(task=name)
    await sync_to_async(take)(str(row.pk), CONSOLE, agent.clock.now())
    return row


async def until_over(agent: Agent) -> None:
    for _ in range(30):
        await agent.sql(
            "UPDATE runs_run SET state = 'queued', waiting_for = '', wake_at = NULL "
            "WHERE state = 'waiting' AND waiting_for = 'timer'"
        )
        queued = await agent.sql("SELECT id FROM runs_run WHERE state = 'queued' ORDER BY id DESC")
        if not queued:
            return
        for row in queued:
            await agent.go_on(row["id"])


async def test_a_job_that_an_agent_made_stays_below_it_whoever_takes_it_over_and_starts_it(
    agent: Agent, shop: Shop
) -> None:
    await agent.load(RICH)
    rich = await agent.start("rich")
    assert (await agent.perform(rich))["state"] == "succeeded", "an administrator may, by that task"
    agent.says(turn(proposing(NIGHT)), end("Proposed.", changed=True))
    await agent.go_on(await agent.ask(tools="[task_propose]"))
    assert (await taken_by_an_administrator(agent, "night")).ceiling == "operator"
    night = await agent.start("night")
    await until_over(agent)
    assert (await agent.run(night))["state"] == "failed"
    (child,) = await agent.sql("SELECT id FROM runs_run WHERE parent_run_id = %s", night)
    (step,) = await agent.sql("SELECT * FROM runs_step WHERE run_id = %s", child["id"])
    assert step["state"] == "failed"
    assert "sql needs engineer" in step["error"]
    assert "may act as operator here" in step["error"]
    assert rows(shop) == 2, "the nut that was sold by who may"


async def test_an_agent_that_an_agent_made_makes_no_more_than_it(agent: Agent) -> None:
    await agent.policy()
    agent.says(turn(proposing(CHILD)), end("Proposed.", changed=True))
    await agent.go_on(await agent.ask(tools="[task_propose]"))
    await taken_by_an_administrator(agent, "child")
    script = agent.says(turn(proposing(GREEDY)), end("No."))
    await agent.go_on(await agent.start("child"))
    assert "more than this run may do" in script.told()
    assert not await AgentProposal.objects.filter(task="more").aexists()


async def test_a_change_of_a_task_that_may_more_takes_that_away(agent: Agent) -> None:
    await agent.policy()
    await agent.load(
        "- name: big\n  trigger: manual\n  principal: admin\n  actions: [{type: set, value: 1}]\n"
    )
    kept = "- name: big\n  trigger: manual\n  principal: admin\n  actions: [{type: set, value: 2}]\n"
    script = agent.says(
        turn(proposing(kept)),
        turn(proposing(kept.replace("  principal: admin\n", ""))),
        end("Proposed.", changed=True),
    )
    await agent.go_on(await agent.ask(tools="[task_propose]"))
    assert "more than this run may do" in script.told(1)
    (row,) = [one async for one in AgentProposal.objects.all()]
    assert (row.ceiling, "principal: operator" in row.text, row.base) == ("operator", True, 1)


@pytest.mark.parametrize(
    "query", ["DELETE FROM part", "WITH gone AS (DELETE FROM part RETURNING name) SELECT * FROM gone"]
)
async def test_a_question_to_a_database_changes_nothing_in_it_whatever_the_policy_allows(
    agent: Agent, shop: Shop, query: str
) -> None:
    script = agent.says(turn(("sql_query", {"query": query})), end("I could not."))
    tools = "[{sql_query: {database: shop}}]"
    run_id = await agent.begin(
        "- name: t\n  trigger: manual\n  principal: engineer\n  actions:\n"
        f"    - {{id: think, type: agent, goal: Clean up, tools: {tools}, mode: act}}\n"
    )
    await agent.go_on(run_id)
    assert "with write: true" in script.told(), "it was the database that refused it"
    assert (await agent.row("call-1-1"))["state"] == "failed"
    assert rows(shop) == 1


@pytest.mark.parametrize(("rule", "state"), [("deny", "succeeded"), ("ask", "waiting:approval")])
async def test_a_command_passes_the_policy_as_any_does(agent: Agent, rule: str, state: str) -> None:
    await agent.policy(
        "policy: 1\nname: t\nlayer: box\ndefault: allow\n"
        f"rules: [{{id: no, kinds: shell, decide: {rule}, reason: hands off}}]\n"
    )
    script = agent.says(turn(("shell", {"command": "systemctl restart pump"})), end("I could not."))
    await agent.go_on(await agent.ask(tools="[shell]", mode="act"))
    assert await agent.state(await agent.inside()) == state
    assert agent.world.jobs == []
    if rule == "deny":
        assert "hands off" in script.told()
