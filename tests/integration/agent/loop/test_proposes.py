"""An agent proposes a task: it mends what is wrong, people decide, and nothing runs before."""

from datetime import timedelta

from asgiref.sync import sync_to_async

from appliance.agent.models import AgentProposal
from appliance.agent.proposals.keeping import WAITS
from appliance.alerts.follower import AlertFollower
from appliance.lib.clock import ManualClock
from appliance.lib.config import get_config
from appliance.processes.housekeeping import Housekeeping
from appliance.tasks.models import Task
from tests.integration.agent.loop.conftest import Agent
from tests.scripted_model import end, turn

BAD = "- name: night\n  trigger: manual\n  actions:\n    - type: notifcation\n      message: '{{ now }}'\n"
MORE = "- name: night\n  trigger: manual\n  principal: admin\n  actions: [{type: set, value: '{{ now }}'}]\n"
GOOD = "- name: night\n  trigger: manual\n  actions: [{type: set, value: '{{ now }} secret:erp'}]\n"


def proposing(text: str) -> tuple[str, dict[str, str]]:
    return "task_propose", {"task": text, "why": "at night nobody looks"}


async def proposals() -> list[AgentProposal]:
    return [row async for row in AgentProposal.objects.order_by("id")]


async def test_what_is_wrong_comes_back_and_can_be_mended(agent: Agent) -> None:
    await agent.policy()
    script = agent.says(
        turn(proposing(BAD)), turn(proposing(MORE)), turn(proposing(GOOD)), end("Proposed.", changed=True)
    )
    row = await agent.go_on(await agent.ask(tools="[task_propose]"))
    assert "proposal:4:" in script.told(1)
    assert "did you mean `notification`?" in script.told(1)
    assert "more than this run may do" in script.told(2)
    assert "a person looks at it" in script.told(3)
    (found,) = await proposals()
    assert (found.task, found.state, found.by_task, found.step) == ("night", "open", "t", "call-3-1")
    assert "{{ now }} secret:erp" in found.text, "as it was written, filled in by nobody"
    assert "principal: operator" in found.text
    assert not await sync_to_async(Task.objects.filter(name="night").exists)()
    assert (row["state"], await agent.approvals()) == ("succeeded", [])


async def test_in_shadow_nothing_is_proposed(agent: Agent) -> None:
    agent.says(turn(proposing(GOOD)), end("I would have."))
    await agent.go_on(await agent.ask(tools="[task_propose]", mode="shadow"))
    assert await proposals() == []
    assert (await agent.row("call-1-1"))["state"] == "skipped"


async def test_who_only_watches_proposes_nothing(agent: Agent) -> None:
    agent.says(turn(proposing(GOOD)), end())
    await agent.go_on(await agent.ask(tools="[task_propose]", mode="watch"))
    assert await proposals() == []


async def test_the_boxs_own_duties_close_what_nobody_decided_on(agent: Agent) -> None:
    await agent.policy()
    agent.says(turn(proposing(GOOD)), end("Proposed.", changed=True))
    await agent.go_on(await agent.ask(tools="[task_propose]"))
    clock = ManualClock(agent.clock.now() + WAITS - timedelta(hours=1))
    keeping = Housekeeping(agent.pool, clock, get_config(), AlertFollower(agent.pool, clock, lambda: None))
    await keeping._forget_old()
    assert [row.state for row in await proposals()] == ["open"]
    clock.advance(timedelta(days=1))
    await keeping._forget_old()
    assert [row.state for row in await proposals()] == ["expired"]
    clock.advance(timedelta(days=get_config().keep_days + 1))
    await keeping._forget_old()
    assert await proposals() == []
