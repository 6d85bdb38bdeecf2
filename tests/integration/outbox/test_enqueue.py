"""An item is written with the change that causes it, once."""

import pytest
from django.db import transaction

from appliance.accounts.domain import Role
from appliance.accounts.principal import Principal
from appliance.lib.identity import uuid7
from appliance.outbox import services
from appliance.outbox.errors import DeliveryRefused, ItemBusy, ItemNotFound, OutboxRefused
from appliance.outbox.models import OutboxRow
from appliance.outbox.ports import OutboxItem
from appliance.outbox.services import enqueue, enqueue_now

from .conftest import Desk


def item(key: str = "run/step", **more: object) -> OutboxItem:
    return OutboxItem(key=key, platform="chat", message={"text": "hi"}, **more)  # type: ignore[arg-type]  # test data


async def test_the_same_key_is_the_same_item(desk: Desk) -> None:
    run = uuid7()
    first = await desk.put("one", run_id=run)
    second = await desk.put("two", run_id=run)
    assert first == second
    assert await desk.count() == 1
    assert (await desk.row(first))["message"] == {"text": "one"}


async def test_a_rolled_back_change_leaves_no_message_behind(desk: Desk) -> None:
    async with desk.pool.connection() as connection, connection.transaction(force_rollback=True):
        await enqueue(connection, item(run_id=uuid7()))
    assert await desk.count() == 0


async def test_a_retried_step_opens_its_failed_message_again(desk: Desk) -> None:
    desk.courier.errors["chat"] = [DeliveryRefused("no")]
    run = uuid7()
    first = await desk.put("one", run_id=run)
    await desk.round()
    await desk.put("one", run_id=run)
    await desk.round()
    assert (await desk.row(first))["state"] == "delivered"
    assert [heard[0] for heard in desk.runs.heard] == ["failed", "delivered"]


async def test_a_delivered_message_is_not_sent_again_but_its_run_is_told_again(desk: Desk) -> None:
    run = uuid7()
    await desk.put("one", run_id=run)
    await desk.round()
    await desk.put("one", run_id=run)
    await desk.round()
    assert len(desk.courier.seen) == 1
    assert [heard[0] for heard in desk.runs.heard] == ["delivered", "delivered"]


async def test_text_that_the_database_refuses_is_washed(desk: Desk) -> None:
    found = await desk.put("a\x00b\ud800c", conversation="4\x002")
    row = await desk.row(found)
    assert row["message"]["text"] == "a\ufffdb\ufffdc"
    assert row["conversation"] == "4\ufffd2"


def test_an_item_without_run_or_time_is_refused(clean: None) -> None:
    with pytest.raises(OutboxRefused):
        enqueue_now(item())


def test_screens_and_commands_enqueue_in_djangos_transaction(clean: None) -> None:
    run = uuid7()
    with transaction.atomic():
        enqueue_now(item("lost", run_id=run))
        transaction.set_rollback(True)
    with transaction.atomic():
        kept = enqueue_now(item("kept", run_id=run))
    assert [row.id for row in services.of_run(run)] == [kept]
    assert services.counts() == {"chat": (1, 0)}
    assert [row.key for row in services.listed(platform="chat")] == ["kept"]
    assert services.listed(before=kept) == []


def test_a_person_can_cancel_and_set_going_again(clean: None) -> None:
    kept = enqueue_now(item(run_id=uuid7()))
    ann = Principal("user:ann", Role.OPERATOR)
    services.drop(kept, ann)
    with pytest.raises(ItemBusy):
        services.drop(kept, ann)
    row = OutboxRow.objects.get(pk=kept)
    assert (row.state, row.reason) == ("failed", "dropped by user:ann")
    services.retry(kept, ann)
    with pytest.raises(ItemNotFound):
        services.retry(uuid7(), ann)
    assert OutboxRow.objects.get(pk=kept).state == "pending"
    assert services.wake_platform_now("chat") == 0, "it had not been put off"
