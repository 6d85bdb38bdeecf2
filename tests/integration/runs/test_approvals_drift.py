"""What was asked about is not what would be done now: the approval is void."""

from asgiref.sync import sync_to_async

from appliance.accounts.principal import CONSOLE
from appliance.safety.approvals.domain import Choice
from appliance.sandbox.images import pin
from appliance.sandbox.ports import Job, Outcome
from tests.integration.runs.conftest import outcome
from tests.integration.runs.desk import CONTAINED, VALVE, Desk, desk

__all__ = ["desk"]


async def test_drift_of_a_state_voids_asks_anew_once_and_then_fails(desk: Desk) -> None:
    await desk.mode("auto")
    text = "    - {id: open, type: mqtt, topic: plant/valve, payload: '1'}\n"
    gate = """{plant_state: "{{ state('plant/mode') != 'maintenance' }}"}"""
    run_id = await desk.asked(text, gate=gate)
    assert (await desk.rows())[0].states["plant/mode"]["value"] == "auto"
    await desk.say(Choice.APPROVE)
    await desk.mode("manual")
    await desk.perform(run_id)
    assert await desk.state(run_id) == "waiting:approval"
    assert [row.state for row in await desk.rows()] == ["void", "open"]
    await desk.say(Choice.APPROVE)
    await desk.mode("auto")
    row = await desk.perform(run_id)
    assert row["state"] == "failed"
    assert row["reason"] == "step open: the approval is void, for the second time: plant/mode has changed"
    assert desk.world.published == []
    assert [row.state for row in await desk.rows()] == ["void", "void"]


async def test_a_state_that_said_the_same_again_is_no_drift(desk: Desk) -> None:
    await desk.mode("auto")
    run_id = await desk.asked(VALVE)
    await desk.say(Choice.APPROVE)
    await desk.mode("auto")
    assert (await desk.perform(run_id))["state"] == "succeeded"


async def test_drift_of_an_argument_voids(desk: Desk) -> None:
    await desk.mode("auto")
    run_id = await desk.asked(VALVE)
    await desk.say(Choice.APPROVE)
    await desk.sql("UPDATE bus_topicvalue SET value = '\"full\"'")
    await desk.perform(run_id)
    assert [row.state for row in await desk.rows()] == ["void", "open"]
    void = (await desk.audit("approval.void"))[-1]
    assert void["detail"]["because"] == "the action is not the one that was asked about"
    assert desk.world.published == []


async def test_an_image_that_is_pinned_anew_voids_and_what_was_approved_is_what_runs(desk: Desk) -> None:
    first, second = (f"sha256:{digit * 64}" for digit in "ab")

    async def repin(digest: str) -> None:
        await sync_to_async(pin)("tools", digest, CONSOLE, desk.clock.now())

    await repin(first)
    run_id = await desk.asked(CONTAINED, principal="engineer")
    assert f"digest: {first}" in (await desk.rows())[0].shown
    await desk.say(Choice.APPROVE)
    await repin(second)
    await desk.perform(run_id)
    assert await desk.state(run_id) == "waiting:approval"
    assert ([row.state for row in await desk.rows()], desk.world.places) == (["void", "open"], [])
    await desk.say(Choice.APPROVE)

    async def repinned_meanwhile(job: Job) -> Outcome:
        await repin(first)
        return outcome()

    desk.world.working = repinned_meanwhile
    assert (await desk.perform(run_id))["state"] == "succeeded"
    (where,) = desk.world.places
    assert where.image == second
    (intent,) = [one for one in await desk.audit("step.intent") if str(run_id) in one["subject"]]
    assert (intent["detail"]["arguments"]["image"], intent["detail"]["arguments"]["digest"]) == (
        "tools",
        second,
    )


async def test_another_policy_voids(desk: Desk) -> None:
    run_id = await desk.asked()
    await desk.say(Choice.APPROVE)
    desk.asking.policy = "v2"
    await desk.perform(run_id)
    assert [(row.state, row.policy) for row in await desk.rows()] == [("void", "v1"), ("open", "v2")]
    await desk.say(Choice.APPROVE)
    assert (await desk.perform(run_id))["state"] == "succeeded"
