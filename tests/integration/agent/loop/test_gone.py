"""A call on record that a newer version of the box does not take: it fails, or is asked about, and the rest goes on."""

from typing import Any

import pytest
from asgiref.sync import sync_to_async

from appliance.accounts.principal import BOX
from appliance.agent.domain import Asked, Call
from appliance.agent.errors import ToolUnknown
from appliance.agent.loop import growth
from appliance.agent.loop.calling import Made, made
from appliance.runs import services
from tests.integration.agent.loop.conftest import Agent
from tests.integration.agent.loop.test_crashes import deaths, split_only, through
from tests.scripted_model import end, turn

__all__ = ["deaths"]

STOP = ("mqtt", {"topic": "pump/3", "payload": "off"})
OPEN = ("shell", {"command": "/usr/bin/open-valve 7"})


@pytest.fixture
def upgrade(monkeypatch: pytest.MonkeyPatch) -> Any:
    """From now on the tool is another one, which does not take what was called before."""

    def begin(name: str) -> None:
        def refused(asked: Asked, call: Call) -> Made:
            if call.tool == name:
                raise ToolUnknown(f"{name} wants a colour now")
            return made(asked, call)

        monkeypatch.setattr(growth, "made", refused)

    return begin


async def test_one_that_waited_for_a_person_fails_with_the_reason_and_the_agent_goes_on(
    agent: Agent, upgrade: Any
) -> None:
    script = agent.says(turn(STOP), end("I could not."))
    run_id = await agent.ask()
    await agent.go_on(run_id)
    inside = await agent.inside()
    assert await agent.state(inside) == "waiting:approval"
    upgrade("mqtt")
    await agent.sql("UPDATE runs_run SET state = 'queued', waiting_for = '' WHERE id = %s", inside)
    row = await agent.go_on(run_id)
    assert (row["state"], agent.world.published) == ("succeeded", [])
    call = await agent.row("call-1-1")
    assert call["state"] == "failed"
    assert "this version of the box does not take the call any more: mqtt wants a colour now" in call["error"]
    assert call["input"]["topic"] == "pump/3", "what was wanted stays on record"
    assert "wants a colour now" in script.told()
    assert "not done: mqtt (topic: pump/3" in row["warning"]


@pytest.mark.parametrize(("call", "tool"), [(OPEN, "shell"), (STOP, "mqtt")])
async def test_one_that_had_begun_is_asked_about(
    agent: Agent, upgrade: Any, deaths: dict[str, int], call: Any, tool: str
) -> None:
    await agent.policy()
    agent.says(turn(call), end("I do not know."))
    run_id = await agent.ask(tools="[shell, mqtt]", mode="act", trust="[shell, mqtt]")
    await split_only(agent, run_id)
    deaths["worker.after_intent"] = 2  # the turn passes it first
    await agent.perform(await agent.inside())
    upgrade(tool)
    await through(agent, run_id)
    inside = await agent.inside()
    assert await agent.state(inside) == "waiting:ambiguous"
    assert (agent.world.published, agent.world.jobs) == ([], [])
    await sync_to_async(services.settle)(inside, False, BOX)
    assert (await through(agent, run_id))["state"] == "succeeded"
    assert (await agent.row("call-1-1"))["state"] == "failed"


async def test_one_that_was_done_is_done(agent: Agent, upgrade: Any) -> None:
    await agent.policy()
    agent.says(turn(STOP), turn(("mqtt", {"topic": "lamp/3", "payload": "red"})), end("Both.", changed=True))
    run_id = await agent.ask(mode="act")
    await agent.go_on(run_id)
    inside = await agent.inside()
    assert (await agent.row("call-1-1"))["state"] == "succeeded"
    upgrade("mqtt")
    await agent.sql("UPDATE runs_run SET state = 'queued', waiting_for = '' WHERE id = %s", inside)
    await agent.go_on(run_id)
    assert agent.world.published == [("pump/3", b"off")]
    detail = (await agent.row("think", run_id))["detail"]
    assert [one["step"] for one in detail["did"]] == ["call-1-1"]
