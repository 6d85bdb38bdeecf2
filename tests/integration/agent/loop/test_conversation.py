"""A whole conversation on the real engine: each turn and each call is a step, and the answer is read back."""

from appliance.safety.approvals.domain import Choice
from tests.integration.agent.loop.conftest import Agent
from tests.scripted_model import end, turn

STOP = ("mqtt", {"topic": "plant/pump/3/set", "payload": "off"})
LOOK = ("readings.last", {"topic": "plant/"})


async def test_reads_proposes_is_allowed_acts_and_answers(agent: Agent) -> None:
    script = agent.says(turn(LOOK), turn(STOP), end("Pump 3 was hot; I stopped it.", changed=True))
    run_id = await agent.ask()
    await agent.go_on(run_id)
    inside = await agent.inside()
    assert await agent.state(inside) == "waiting:approval"
    assert agent.world.published == []
    (asked,) = await agent.approvals()
    assert "plant/pump/3/set" in asked.shown
    await agent.say(Choice.APPROVE)
    row = await agent.go_on(run_id)
    assert (row["state"], row["warning"]) == ("succeeded", "")
    assert agent.world.published == [("plant/pump/3/set", b"off")]
    assert [step for step, _, _ in await agent.steps(inside)] == [
        "turn-1",
        "call-1-1",
        "turn-2",
        "call-2-1",
        "turn-3",
        "answer",
    ]
    assert (await agent.row("after", run_id))["output"] == "Pump 3 was hot; I stopped it."
    detail = (await agent.row("think", run_id))["detail"]
    assert detail["unconfirmed"] is False
    assert [one["step"] for one in detail["did"]] == ["call-2-1"]
    assert "[end of data" in script.told(1)
