"""What an approval is worth after the target was away, and what is committed while one is looked at."""

from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from appliance.accounts.principal import CONSOLE
from appliance.bus.errors import BusAway
from appliance.runs import approving
from appliance.safety import allstop
from appliance.safety.allstop import Level
from appliance.safety.approvals.domain import Choice
from tests.integration.runs.desk import PLAIN, Desk, desk
from tests.integration.runs.test_policy import put

__all__ = ["desk"]

GATE = "{plant_state: \"{{ state('plant/mode') != 'off' }}\"}"


async def away(*_: Any) -> None:
    raise BusAway("gone")


async def approved_and_away(desk: Desk) -> Any:
    """A run whose step was approved and found its broker away."""
    await desk.mode("auto")
    run_id = await desk.asked(PLAIN, gate=GATE)
    desk.world.publishing = away
    await desk.say(Choice.APPROVE)
    await desk.perform(run_id)
    assert await desk.state(run_id) == "waiting:network"
    desk.world.publishing = None
    desk.world.published.clear()
    return run_id


async def later(desk: Desk, run_id: Any, length: timedelta) -> str:
    await desk.pass_time(run_id, length)
    await desk.reconciler.wake_due()
    await desk.perform(run_id)
    return await desk.state(run_id)


async def test_a_target_that_is_back_soon_gets_what_was_approved(desk: Desk) -> None:
    run_id = await approved_and_away(desk)
    assert await later(desk, run_id, timedelta(minutes=2)) == "succeeded"
    assert [row.state for row in await desk.rows()] == ["used"]


async def test_a_used_approval_ends_too(desk: Desk) -> None:
    run_id = await approved_and_away(desk)
    assert await later(desk, run_id, timedelta(days=2)) == "failed"
    assert (await desk.run(run_id))["reason"] == "step open: the approval came too long ago"
    assert desk.world.published == []


async def test_what_changed_while_the_target_was_away_is_asked_about_anew(desk: Desk) -> None:
    run_id = await approved_and_away(desk)
    await desk.mode("manual")
    assert await later(desk, run_id, timedelta(minutes=2)) == "waiting:approval"
    assert [row.state for row in await desk.rows()] == ["void", "open"]
    assert desk.world.published == []
    await desk.say(Choice.APPROVE)
    assert (await desk.perform(run_id))["state"] == "succeeded"
    assert len(desk.world.published) == 1


@pytest.mark.parametrize("what", ["stop", "policy"])
async def test_what_is_committed_while_it_passes_counts(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    run_id = await desk.asked()
    await desk.say(Choice.APPROVE)
    settle, times = approving.settle, 0

    async def settled(*given: Any, **named: Any) -> Any:
        nonlocal times
        times += 1
        answer = await settle(*given, **named)
        if times > 1:
            return answer
        if what == "stop":
            elsewhere = desk.home / "elsewhere"
            elsewhere.mkdir()
            await sync_to_async(allstop.engage)(Level.KILL, "fire", CONSOLE, desk.clock.now(), elsewhere)
        else:
            await put(desk, "rules: [{id: no-valve, topic: plant/valve, decide: deny, reason: shut}]")
        return answer

    monkeypatch.setattr(approving, "settle", settled)
    await desk.perform(run_id)
    assert desk.world.published == []
    (row,) = await desk.rows()
    assert row.state == "approved"
    if what == "stop":
        assert await desk.state(run_id) == "waiting:all_stop"
        intents = await desk.audit("step.intent")
        assert not [one for one in intents if one["subject"] == f"{run_id}/open"]
    else:
        assert (await desk.run(run_id))["reason"].startswith("step open: refused: shut")
