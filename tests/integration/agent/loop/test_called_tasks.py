"""An agent that runs tasks in which agents work: all of them together spend what the first was given."""

from typing import Any

import pytest
from asgiref.sync import sync_to_async

from appliance.accounts.principal import BOX
from appliance.agent.models import AgentSpent
from appliance.inference.asking import Question
from appliance.inference.errors import ModelRefused
from appliance.runs import services
from appliance.runs.given import InputsNotTaken
from tests.integration.agent.loop.conftest import Agent
from tests.integration.runs.test_resume import resume
from tests.scripted_model import end, turn

FINAL = ("succeeded", "failed", "cancelled")
LOOK = ("readings.last", {"topic": "plant/"})
AGAIN = ("task_run", {"task": "t"})


class Endless:
    """A model that calls the same tasks for ever, with other values each time, and answers only where it has to."""

    def __init__(self, agent: Agent, *tasks: str) -> None:
        self.tasks = tasks
        self.asked = 0
        self.script = agent.says()
        self.script.lines = [self.line] * 500

    def line(self, question: Question) -> Any:
        self.asked += 1
        properties: Any = (question.schema or {}).get("properties", {})
        if "calls" not in properties:
            return end("Enough.")
        return turn(*(("task_run", {"task": name, "vars": {"line": str(self.asked)}}) for name in self.tasks))


async def until_over(agent: Agent) -> list[dict[str, Any]]:
    """Every run is worked on until nothing is queued any more; a run that waits for another is woken by its end."""
    for _ in range(400):
        await agent.sql("UPDATE runs_run SET state = 'queued', waiting_for = '', wake_at = NULL "
                        "WHERE state = 'waiting' AND waiting_for = 'timer'")  # fmt: skip
        queued = await agent.sql("SELECT id FROM runs_run WHERE state = 'queued' ORDER BY id DESC")
        if not queued:
            break
        for row in queued:
            await agent.go_on(row["id"])
    return await agent.sql("SELECT * FROM runs_run ORDER BY id")


async def budget(agent: Agent, text: str, *, tools: str = "[task_run]") -> None:
    await agent.policy()
    await agent.ask(budget=text, tools=tools, mode="act", trust="[task_run]")


async def test_an_agent_that_calls_its_own_task_ends(agent: Agent) -> None:
    model = Endless(agent, "t")
    await budget(agent, "{steps: 12}")
    found = await until_over(agent)
    assert {row["state"] for row in found} <= set(FINAL)
    assert model.asked <= 12 + 4, "each of them may answer, and no more is asked"
    assert len(found) < 30


async def test_however_wide_it_calls_itself_it_ends(agent: Agent) -> None:
    model = Endless(agent, "t", "t", "t")
    await budget(agent, "{steps: 20}")
    found = await until_over(agent)
    assert {row["state"] for row in found} <= set(FINAL)
    assert model.asked <= 20 + 4


async def test_one_below_has_what_is_left_of_the_tokens(agent: Agent) -> None:
    script = agent.says(turn(AGAIN), end("Below."), end("Above."))
    script.tokens = 400
    await budget(agent, "{tokens: 1000}")
    await until_over(agent)
    told = script.told(1)
    assert "Answer now: its share of the budget of 1,000 tokens is used up" not in told
    assert "Answer now: its budget of 1,000 tokens is used up" in script.told(2)
    rows = await sync_to_async(lambda: list(AgentSpent.objects.values("steps", "tokens")))()
    assert rows == [{"steps": 1, "tokens": 400}]


async def test_a_task_that_nobody_waits_for_spends_it_too(agent: Agent) -> None:
    model = Endless(agent, "between")
    await agent.policy()
    await agent.load(
        "- name: t\n  trigger: manual\n  vars: {line: ''}\n  actions:\n    - id: think\n      type: agent\n"
        "      goal: x\n      tools: [task_run]\n      mode: act\n      trust: [task_run]\n      budget: {steps: 10}\n"
        "- name: between\n  trigger: manual\n  vars: {line: ''}\n"
        '  actions: [{type: task, task: t, wait: false, vars: {line: "{{ vars.line }}"}}]\n'
    )
    await agent.start("t")
    found = await until_over(agent)
    assert {row["state"] for row in found} <= set(FINAL)
    assert model.asked <= 10 + 4


async def test_who_starts_a_run_cannot_say_what_is_above_it(agent: Agent) -> None:
    await agent.load("- name: t\n  trigger: manual\n  actions: [{type: set, value: 1}]\n")
    with pytest.raises(InputsNotTaken):
        await agent.start("t", {"above": []})


@pytest.mark.parametrize("again", [False, True])
async def test_what_a_person_begins_from_it_spends_its_own(agent: Agent, again: bool) -> None:
    """No agent leads to it any more, and the one that did has nothing left."""
    script = agent.says(
        turn(AGAIN), ModelRefused("it is not what it was"), end("Above."), turn(LOOK), end("Mine.")
    )
    await budget(agent, "{steps: 4}", tools="[task_run, readings.last]")
    await until_over(agent)
    (old,) = await agent.sql("SELECT id FROM runs_run WHERE split_id IS NULL AND inputs ? 'above'")
    wanted = services.start_again if again else None
    new = (
        await sync_to_async(wanted)(old["id"], BOX, agent.clock.now())
        if wanted
        else await resume(agent, old["id"])
    )
    await until_over(agent)
    assert (await agent.run(new))["state"] == "succeeded"
    assert len(script.asked) == 5
    assert "its share of the budget" not in script.told(3)
    rows = await agent.sql("SELECT inputs FROM runs_run WHERE id >= %s", new)
    assert not any("above" in row["inputs"] for row in rows)
