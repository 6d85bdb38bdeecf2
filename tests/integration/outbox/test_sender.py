"""P7: each outbound effect has one row, goes out in order, and its end is known."""

import asyncio
from datetime import timedelta

from appliance.lib.identity import uuid7
from appliance.outbox.errors import DeliveryDeferred, DeliveryRefused, NotReady, PlatformAway
from appliance.outbox.ports import Pace, Parcel
from appliance.outbox.sender import Sender
from appliance.outbox.services import overdue, wake_platform

from .conftest import Desk


async def test_a_message_is_delivered_and_its_run_gets_the_receipt(desk: Desk) -> None:
    run = uuid7()
    item = await desk.put("hot", run_id=run, conversation="42")
    await desk.round()
    row = await desk.row(item)
    assert (row["state"], row["attempts"], row["repeat_possible"], row["told"]) == (
        "delivered",
        1,
        False,
        True,
    )
    assert row["receipt"]["message_ids"] == ["m1"]
    assert desk.runs.heard == [("delivered", run, "tell", row["receipt"])]


async def test_one_targets_messages_keep_their_order_while_the_first_fails(desk: Desk) -> None:
    desk.courier.errors["chat"] = [PlatformAway("no network")]
    await desk.put("first", conversation="42")
    await desk.put("second", conversation="42")
    await desk.round()
    assert desk.courier.texts == ["first"]
    desk.clock.advance(timedelta(seconds=2))
    await desk.round()
    assert desk.courier.texts == ["first", "first", "second"]


async def test_a_stuck_target_does_not_hold_back_another(desk: Desk) -> None:
    desk.courier.errors["chat"] = [NotReady("no token yet")]
    await desk.put("stuck", platform="chat")
    await desk.put("fine", platform="other")
    await desk.round()
    assert sorted(map(str, desk.courier.texts)) == ["fine", "stuck"]
    assert len(desk.runs.heard) == 1


async def test_targets_with_a_higher_priority_go_first(desk: Desk) -> None:
    desk.sender = Sender(desk.pool, desk.courier, desk.runs, desk.clock)
    for number in range(12):
        await desk.put(f"low {number}", conversation=f"low-{number}")
    await desk.put("alarm", conversation="boss", priority=20)
    await desk.sender.round()
    await desk.sender.settle()
    assert "alarm" in desk.courier.texts
    assert len(desk.courier.texts) == 8


async def test_what_a_dead_sender_was_sending_is_sent_again_and_marked_as_a_possible_repeat(
    desk: Desk,
) -> None:
    item = await desk.put("hot")

    async def die(parcel: Parcel) -> None:
        raise asyncio.CancelledError

    desk.courier.before = die
    await desk.sender.round()
    await desk.sender.settle()
    assert (await desk.row(item))["state"] == "sending"
    desk.courier.before = None
    survivor = desk.another_sender()
    assert await survivor.round() == 0, "the lease still holds"
    desk.clock.advance(timedelta(seconds=31))
    assert await survivor.round() == 1
    await survivor.settle()
    row = await desk.row(item)
    assert (row["state"], row["repeat_possible"], row["epoch"]) == ("delivered", True, 2)
    assert desk.courier.seen[-1].repeat_possible


async def test_a_sender_whose_lease_ended_cannot_write(desk: Desk) -> None:
    item = await desk.put("hot")
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def hang(parcel: Parcel) -> None:
        if not parcel.repeat_possible:
            reached.set()
            await go_on.wait()
            raise DeliveryRefused("stale news")

    desk.courier.before = hang
    await desk.sender.round()
    await asyncio.wait_for(reached.wait(), 5)
    desk.clock.advance(timedelta(seconds=31))
    survivor = desk.another_sender()
    await survivor.round()
    await survivor.settle()
    go_on.set()
    await desk.sender.settle()
    row = await desk.row(item)
    assert (row["state"], row["epoch"]) == ("delivered", 2)
    assert [heard[0] for heard in desk.runs.heard] == ["delivered"]


async def test_a_long_delivery_keeps_its_lease(desk: Desk) -> None:
    await desk.put("slow")
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def hang(parcel: Parcel) -> None:
        reached.set()
        await go_on.wait()

    desk.courier.before = hang
    await desk.sender.round()
    await asyncio.wait_for(reached.wait(), 5)
    for _ in range(4):
        desk.clock.advance(timedelta(seconds=11))
        await desk.sender.round()
        assert await desk.another_sender().round() == 0
    go_on.set()
    await desk.sender.settle()
    assert desk.courier.texts == ["slow"]


async def test_retry_after_is_obeyed(desk: Desk) -> None:
    desk.courier.errors["chat"] = [DeliveryDeferred("slow down", retry_after=7)]
    item = await desk.put("hot")
    await desk.round()
    desk.clock.advance(timedelta(seconds=6))
    await desk.round()
    assert desk.courier.texts == ["hot"]
    desk.clock.advance(timedelta(seconds=2))
    await desk.round()
    assert (await desk.row(item))["state"] == "delivered"


async def test_a_clock_that_is_set_back_holds_nothing_back_for_as_long(desk: Desk) -> None:
    desk.courier.errors["chat"] = [DeliveryDeferred("slow down", retry_after=7)]
    item = await desk.put("hot")
    await desk.round()
    desk.clock.set(timedelta(hours=-1))
    desk.clock.advance(timedelta(seconds=8))
    await desk.round()
    assert (await desk.row(item))["state"] == "delivered"


async def test_two_messages_to_one_target_keep_the_platforms_distance(desk: Desk) -> None:
    desk.courier.paces["chat"] = Pace(interval=1.0)
    await desk.put("one", conversation="42")
    await desk.put("two", conversation="42")
    await desk.put("three", conversation="43")
    await desk.round()
    assert sorted(map(str, desk.courier.texts)) == ["one", "three"]
    desk.clock.advance(timedelta(seconds=1.1))
    await desk.round()
    assert desk.courier.texts[-1] == "two"


async def test_what_nobody_wants_any_more_expires_and_fails_its_step(desk: Desk) -> None:
    desk.courier.errors["chat"] = [PlatformAway("no network")] * 50
    item = await desk.put("old news", expires_at=desk.clock.now() + timedelta(seconds=20))
    for _ in range(6):
        await desk.round()
        desk.clock.advance(timedelta(seconds=6))
    row = await desk.row(item)
    assert row["state"] == "expired"
    assert row["reason"] == "expired: no network"
    assert [(heard[0], heard[3]) for heard in desk.runs.heard] == [("failed", "expired: no network")]


async def test_a_message_that_lacks_a_recipient_waits_with_its_reason_until_one_is_known(desk: Desk) -> None:
    desk.courier.errors["chat"] = [NotReady("no recipient yet")]
    item = await desk.put("hello")
    await desk.round()
    row = await desk.row(item)
    assert (row["state"], row["reason"], row["attempts"]) == ("pending", "no recipient yet", 0)
    await desk.round()
    assert len(desk.courier.seen) == 1, "it is not asked again at once"
    async with desk.pool.connection() as connection:
        assert await wake_platform(connection, "chat") == 1
    await desk.round()
    assert (await desk.row(item))["state"] == "delivered"


async def test_a_refused_message_fails_its_step_and_lets_the_next_one_through(desk: Desk) -> None:
    desk.courier.errors["chat"] = [DeliveryRefused("chat not found")]
    run = uuid7()
    item = await desk.put("first", conversation="42", run_id=run)
    await desk.put("second", conversation="42")
    await desk.round()
    assert (await desk.row(item))["state"] == "failed"
    assert desk.runs.heard[0] == ("failed", run, "tell", "chat not found")
    assert desk.courier.texts == ["first", "second"]


async def test_a_run_that_could_not_be_told_is_told_later(desk: Desk) -> None:
    desk.runs.refuse = 2
    await desk.put("hot")
    await desk.sender.round()
    await desk.sender.settle()
    assert desk.runs.heard == []
    survivor = desk.another_sender()
    await survivor.round()
    await survivor.round()
    assert [heard[0] for heard in desk.runs.heard] == ["delivered"]
    await survivor.round()
    assert len(desk.runs.heard) == 1


async def test_a_platform_that_keeps_failing_is_left_alone_for_a_while(desk: Desk) -> None:
    desk.courier.errors["chat"] = [PlatformAway("down")] * 5
    for number in range(5):
        await desk.put(f"m{number}", conversation=str(number))
    await desk.round()
    assert desk.sender.health().resting == ("chat",)
    tried = len(desk.courier.seen)
    await desk.put("late", conversation="late")
    await desk.round()
    assert len(desk.courier.seen) == tried, "nothing is sent while the breaker is open"
    desk.clock.advance(timedelta(seconds=70))
    await desk.round()
    assert "late" in desk.courier.texts
    assert desk.sender.health().resting == ()


async def test_a_send_without_an_answer_ends_and_the_next_attempt_is_marked(desk: Desk) -> None:
    desk.sender = Sender(desk.pool, desk.courier, desk.runs, desk.clock, send_limit=0.05)
    hang = asyncio.Event()

    async def forever(parcel: Parcel) -> None:
        if parcel.attempt == 1:
            await hang.wait()

    desk.courier.before = forever
    item = await desk.put("hot")
    await desk.round()
    row = await desk.row(item)
    assert (row["state"], row["repeat_possible"]) == ("pending", True)
    desk.clock.advance(timedelta(seconds=5))
    await desk.round()
    assert (await desk.row(item))["state"] == "delivered"


async def test_a_bridge_that_breaks_takes_nothing_down(desk: Desk) -> None:
    desk.courier.errors["chat"] = [ZeroDivisionError("bug")]
    item = await desk.put("hot")
    await desk.put("fine", platform="other")
    await desk.round()
    assert "broke" in (await desk.row(item))["reason"]
    desk.clock.advance(timedelta(seconds=5))
    await desk.round()
    assert (await desk.row(item))["state"] == "delivered"


async def test_confirmed_parts_of_a_split_message_are_not_sent_again(desk: Desk) -> None:
    desk.courier.errors["chat"] = [PlatformAway("cable", parts_done=3)]
    await desk.put("long")
    await desk.round()
    desk.clock.advance(timedelta(seconds=5))
    await desk.round()
    assert [parcel.parts_done for parcel in desk.courier.seen] == [0, 3]


async def test_two_senders_deliver_everything_once_and_in_order(desk: Desk) -> None:
    for number in range(60):
        await desk.put(f"{number:02}", conversation=str(number % 7))
    senders = [desk.sender, desk.another_sender()]

    async def work(sender: Sender) -> None:
        while len(desk.courier.seen) < 60:
            await sender.round()
            await sender.settle()

    async with asyncio.timeout(20):
        await asyncio.gather(*map(work, senders))
    assert sorted(map(str, desk.courier.texts)) == [f"{number:02}" for number in range(60)]
    for target in range(7):
        got = [p.message["text"] for p in desk.courier.seen if p.conversation == str(target)]
        assert got == sorted(map(str, got))


async def test_the_reconciler_sees_what_no_sender_took_care_of(desk: Desk) -> None:
    item = await desk.put("old", expires_at=desk.clock.now() - timedelta(minutes=5))
    async with desk.pool.connection() as connection:
        assert await overdue(connection, desk.clock.now() - timedelta(minutes=1)) == [item]
    desk.clock.advance(timedelta(seconds=6))
    await desk.round()
    async with desk.pool.connection() as connection:
        assert await overdue(connection, desk.clock.now() - timedelta(minutes=1)) == []


async def test_a_commit_wakes_the_sender_without_waiting_for_the_poll(desk: Desk) -> None:
    arrived = asyncio.Event()

    async def note(parcel: Parcel) -> None:
        arrived.set()

    desk.courier.before = note
    listening = asyncio.Event()
    poke = desk.sender.poke

    def heard() -> None:
        listening.set()
        poke()

    desk.sender.poke = heard  # type: ignore[method-assign]  # to know that LISTEN is in place
    running = asyncio.create_task(desk.sender.run())
    try:
        await asyncio.wait_for(listening.wait(), 5)
        await desk.put("now")
        await asyncio.wait_for(arrived.wait(), 5)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert desk.runs.heard == [] or desk.runs.heard[0][0] == "delivered"
