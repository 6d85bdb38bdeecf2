"""A run is green only when its messages were delivered; each has one outbox row (P7, P9)."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from appliance.lib.identity import uuid7
from appliance.outbox.ledger import OutboxLedger
from appliance.runs.invariants import delivery
from tests.integration.runs.conftest import Engine, task
from tests.wait import wait_for_async

TELL = "    - {id: tell, type: notification, platform: loopback, message: hello}\n"


async def delivering(engine: Engine, text: str) -> UUID:
    run_id = await engine.begin(text)
    await engine.perform(run_id)
    assert await engine.state(run_id) == "waiting:delivery"
    assert ("tell", 1, "handed_over") in await engine.steps(run_id)
    assert await engine.count("outbox_item") == 1
    return run_id


async def test_a_run_is_green_only_when_its_message_was_delivered(engine: Engine) -> None:
    run_id = await delivering(engine, task(TELL))
    await engine.receipts.delivered(run_id, "tell", {"message_ids": ["1"]})
    assert await engine.state(run_id) == "succeeded"
    assert await engine.steps(run_id) == [("tell", 1, "succeeded")]


async def test_a_receipt_that_comes_twice_changes_nothing(engine: Engine) -> None:
    run_id = await delivering(engine, task(TELL))
    for _ in range(2):
        await engine.receipts.delivered(run_id, "tell", {})
    await engine.receipts.failed(run_id, "tell", "late")
    assert await engine.state(run_id) == "succeeded"
    assert (
        await engine.count("events_event WHERE data ->> 'state' = 'succeeded' AND type = 'run.changed'") == 1
    )


async def test_a_message_that_cannot_be_delivered_fails_the_run_by_its_on_failure(engine: Engine) -> None:
    text = task(TELL) + "  on_failure:\n    - {id: f, type: mqtt, topic: a/f, payload: '{{ error }}'}\n"
    run_id = await delivering(engine, text)
    await engine.receipts.failed(run_id, "tell", "chat not found")
    assert await engine.state(run_id) == "queued"
    assert (await engine.perform(run_id))["state"] == "failed"
    assert engine.world.published == [("a/f", b"step tell: chat not found")]
    assert await engine.count("outbox_item") == 1


@pytest.mark.parametrize(("on_error", "ends"), [("stop", "failed"), ("continue", "succeeded")])
async def test_a_refusal_that_comes_while_the_run_goes_on_is_not_forgotten(
    engine: Engine, on_error: str, ends: str
) -> None:
    refused = asyncio.Event()

    async def publishing(topic: str, payload: bytes) -> None:
        await refused.wait()

    engine.world.publishing = publishing
    told = TELL.replace("}", f", on_error: {on_error}}}")
    run_id = await engine.begin(task(told + "    - {id: b, type: mqtt, topic: a/b}\n"))
    worker = engine.worker()
    worker.attend(run_id)
    await wait_for_async(lambda: engine.world.published, 10)
    await engine.receipts.failed(run_id, "tell", "chat not found")
    refused.set()
    await wait_for_async(lambda: worker.active == 0, 10)
    assert await engine.state(run_id) == "queued"
    row = await engine.perform(run_id)
    assert row["state"] == ends
    assert "chat not found" in row["reason"] + row["warning"]
    assert len(engine.world.published) == 1


async def test_a_receipt_that_comes_while_the_run_goes_on_counts(engine: Engine) -> None:
    delivered = asyncio.Event()

    async def publishing(topic: str, payload: bytes) -> None:
        await delivered.wait()

    engine.world.publishing = publishing
    run_id = await engine.begin(task(TELL + "    - {id: b, type: mqtt, topic: a/b}\n"))
    worker = engine.worker()
    worker.attend(run_id)
    await wait_for_async(lambda: engine.world.published, 10)
    await engine.receipts.delivered(run_id, "tell", {})
    delivered.set()
    await wait_for_async(lambda: worker.active == 0, 10)
    assert await engine.state(run_id) == "succeeded"


async def test_confirm_handed_over_does_not_wait_for_the_receipt(engine: Engine) -> None:
    run_id = await engine.begin(task(TELL.replace("}", ", confirm: handed_over}")))
    assert (await engine.perform(run_id))["state"] == "succeeded"
    assert await engine.count("outbox_item") == 1


async def test_a_crash_after_the_hand_over_writes_no_second_outbox_row(engine: Engine) -> None:
    run_id = await delivering(engine, task(TELL))
    await engine.sql("DELETE FROM runs_step")
    await engine.sql("UPDATE runs_run SET state = 'queued', waiting_for = ''")
    await engine.perform(run_id)
    assert await engine.count("outbox_item") == 1


async def test_a_run_left_waiting_for_a_delivery_that_is_over_is_found(engine: Engine) -> None:
    run_id = await delivering(engine, task(TELL))
    await engine.sql("UPDATE runs_step SET state = 'succeeded'")
    assert [repair.subject for repair in await engine.reconciler.repair(delivery)] == [str(run_id)]
    assert (await engine.perform(run_id))["state"] == "succeeded"


async def test_a_message_that_was_too_late_is_not_sent_and_fails_its_step(engine: Engine) -> None:
    run_id = await delivering(engine, task(TELL.replace("}", ", valid_for: 10m}")))
    [row] = await engine.sql("SELECT expires_at - now() AS length FROM outbox_item")
    assert 590 < row["length"].total_seconds() <= 601
    ledger = OutboxLedger(engine.pool, engine.clock, "sender", timedelta(seconds=30))
    engine.clock.advance(timedelta(seconds=601))
    await ledger.expire()
    [verdict] = await ledger.untold()
    await engine.receipts.failed(run_id, "tell", verdict.reason)
    assert (await engine.perform(run_id))["state"] == "failed"
    assert await engine.steps(run_id) == [("tell", 1, "failed")]


async def test_a_run_whose_message_is_gone_does_not_wait_for_ever_and_is_not_green(engine: Engine) -> None:
    run_id = await delivering(engine, task(TELL))
    assert await engine.reconciler.repair(delivery) == []
    await engine.sql("DELETE FROM outbox_item")
    (repair,) = await engine.reconciler.repair(delivery)
    assert (repair.subject, repair.done) == (str(run_id), f"step tell failed: {delivery.GONE}")
    row = await engine.perform(run_id)
    assert (row["state"], "whether it was delivered is not known" in row["reason"]) == ("failed", True)
    assert await engine.reconciler.repair(delivery) == []


async def test_a_run_that_was_not_told_is_told_again(engine: Engine) -> None:
    """The word was lost between the outbox and the run: the sender's next round brings it."""
    run_id = await delivering(engine, task(TELL))
    await engine.sql("UPDATE outbox_item SET state = 'delivered', told = false, finished_at = now()")
    assert await engine.reconciler.repair(delivery) == [], "the sender will"
    await engine.sql("UPDATE outbox_item SET told = true")
    (repair,) = await engine.reconciler.repair(delivery)
    assert (repair.subject, "told again" in repair.done) == (str(run_id), True)
    assert await engine.count("outbox_item WHERE NOT told") == 1
    assert await engine.state(run_id) == "waiting:delivery"


async def test_a_run_that_shares_a_message_waits_for_that_of_the_first_run(engine: Engine) -> None:
    run_id = await delivering(engine, task(TELL))
    await engine.sql("UPDATE runs_step SET shared_from = run_id, run_id = %s", other := uuid7())
    await engine.sql("UPDATE runs_run SET id = %s", other)
    assert await engine.reconciler.repair(delivery) == []
    assert other != run_id
