"""Whoever asks for an undo answers for what it does, and does not approve it."""

import pytest
from asgiref.sync import sync_to_async

from appliance.accounts.models import User
from appliance.runs.taking_back import undo
from appliance.safety.approvals.domain import Choice
from appliance.safety.approvals.errors import ApprovalRefused
from tests.integration.runs.conftest import task
from tests.integration.runs.desk import Desk, desk

__all__ = ["desk"]

TAKEN_BACK = "    - {id: make, type: set, value: 1, undo: {type: mqtt, topic: valve/close, payload: '0'}}\n"


async def test_what_an_undo_does_is_asked_for_by_whoever_asked_for_it(desk: Desk) -> None:
    run_id = await desk.begin(task(TAKEN_BACK, principal="engineer"))
    assert (await desk.perform(run_id))["state"] == "succeeded"
    anna = await sync_to_async(lambda: User.objects.get(username="anna").principal)()
    await sync_to_async(undo)(run_id, anna)
    await desk.perform(run_id)
    assert await desk.state(run_id) == "waiting:approval"
    (row,) = await desk.rows()
    assert row.requested_by == "user:anna"
    with pytest.raises(ApprovalRefused):
        await desk.say(Choice.APPROVE, "anna")
    assert desk.world.published == []
    await desk.say(Choice.APPROVE, "ben")
    assert (await desk.perform(run_id))["state"] == "undone"
    assert len(desk.world.published) == 1
