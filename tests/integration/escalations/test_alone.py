"""What waits for an answer always stands alone: it is in no digest, and neither night nor mute holds it."""

from dataclasses import replace
from datetime import timedelta

from asgiref.sync import sync_to_async

from appliance.accounts.domain import Role
from appliance.accounts.principal import Principal
from appliance.actions.contract import StepContext
from appliance.actions.notification import NotificationAction, NotificationParams
from appliance.escalations import services
from appliance.escalations.domain import Way
from appliance.escalations.opening import open_one
from appliance.lib.identity import uuid7
from appliance.outbox.ports import DigestRule, Hold
from appliance.outbox.sender import Sender
from appliance.outbox.services import enqueue
from tests.integration.escalations.conftest import Shift
from tests.integration.outbox.conftest import Player, Runs

ANA = Principal("user:ana", Role.OPERATOR)
CONTEXT = StepContext(
    run_id=uuid7(), step_id="tell", task_id=1, task_name="guard", attempt=1, key="", principal="trigger:t",
    priority=0, now=None, timeout=1.0, ok_exit=(0,), services=None, connect=None,  # type: ignore[arg-type]
)  # fmt: skip
PARAMS = {"platform": "telegram", "to": "1", "message": "pump 7 is hot"}
MANY = 8


async def notify(shift: Shift, **params: object) -> None:
    """A task of one kind tells ``MANY`` times at once."""
    action = NotificationAction()
    wanted = NotificationParams.model_validate({**PARAMS, **params})
    for _ in range(MANY):
        run = uuid7()
        context = replace(CONTEXT, run_id=run, key=f"{run}/tell", now=shift.clock.now())
        result = await action.perform(action.arguments(wanted, {}), context)
        async with shift.pool.connection() as db, db.transaction():
            for item in result.outbox:
                await enqueue(db, item)
            for new in result.escalations:
                await open_one(db, new)


async def test_each_message_of_an_escalation_arrives_by_itself_in_a_storm_at_night(shift: Shift) -> None:
    courier = Player(shift.clock)
    courier.rules["telegram"] = courier.rules["webchat"] = DigestRule(after=1)
    courier.hold = lambda parcel, now: Hold(now + timedelta(hours=9), "quiet hours", 20)
    sender = Sender(shift.pool, courier, Runs(), shift.clock)

    async def arrived() -> list[str]:
        """The conversations, without the web admin's own feed."""
        before = len(courier.seen)
        while await sender.round():
            await sender.settle()
        seen = courier.seen[before:]
        assert all(parcel.digest is None for parcel in seen)
        return [str(parcel.conversation) for parcel in seen if parcel.platform == "telegram"]

    await notify(shift)
    await notify(shift, acknowledge={"within": "10m", "then": ["telegram/2"]})
    assert await arrived() == ["1"] * MANY
    await shift.later(minutes=10)
    assert await arrived() == ["2"] * MANY
    for row in await shift.sql("SELECT code FROM escalations_escalation"):
        await sync_to_async(services.acknowledge)(row["code"], ANA, shift.clock.now(), Way.CHAT)
    assert sorted(await arrived()) == ["1"] * MANY + ["2"] * MANY
    held = await shift.sql("SELECT count(*) FROM outbox_item WHERE state = 'held' AND about <> ''")
    assert held == [{"count": MANY}], "what asks nobody waits for the morning"
    assert await shift.sql("SELECT FROM outbox_item WHERE state = 'held' AND about = ''") == []
