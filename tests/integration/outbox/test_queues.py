"""P7: urgent before usual, order inside a conversation, pace, the circuit breaker, and a network that is away."""

import asyncio
from datetime import timedelta

import pytest
from django.db import connection as django_connection
from psycopg.types.json import Jsonb

from appliance.lib.identity import uuid7, uuid_at
from appliance.outbox import services
from appliance.outbox.domain import BreakerState
from appliance.outbox.errors import DeliveryDeferred, PlatformAway
from appliance.outbox.ports import OutboxItem, Pace, Parcel
from appliance.outbox.sender import PER_PLATFORM

from .conftest import Desk

_BACKLOG = """
INSERT INTO outbox_item (id, key, platform, conversation, message, expires_at)
SELECT id, id::text, 'chat', conversation, message, %(until)s
FROM unnest(%(ids)s::uuid[], %(conversations)s::text[], %(messages)s::jsonb[]) AS b(id, conversation, message)
"""


async def backlog(desk: Desk, size: int, conversations: int) -> None:
    now, numbers = desk.clock.now(), range(size)
    async with desk.pool.connection() as connection:
        await connection.execute(
            _BACKLOG,
            {
                "ids": [uuid_at(now, "backlog", str(number)) for number in numbers],
                "conversations": [f"c{number % conversations}" for number in numbers],
                "messages": [Jsonb({"text": number}) for number in numbers],
                "until": now + timedelta(hours=24),
            },
        )


async def test_an_alarm_overtakes_the_reports_of_its_own_conversation(desk: Desk) -> None:
    for number in range(5):
        await desk.put(f"report {number}", conversation="shift")
    await desk.sender.round()
    await desk.put("alarm 1", conversation="shift", priority=20)
    await desk.put("alarm 2", conversation="shift", priority=20)
    await desk.sender.settle()
    await desk.round()
    rest = [f"report {number}" for number in range(1, 5)]
    assert desk.courier.texts == ["report 0", "alarm 1", "alarm 2", *rest]


async def test_an_alarm_waits_for_what_another_sender_has_under_way(desk: Desk) -> None:
    """One message of a conversation at a time: also of one that another sender holds."""
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def hang(parcel: Parcel) -> None:
        reached.set()
        await go_on.wait()

    desk.courier.before = hang
    await desk.put("report", conversation="shift")
    await desk.sender.round()
    await asyncio.wait_for(reached.wait(), 5)
    await desk.put("alarm", conversation="shift", priority=20)
    assert await desk.another_sender().round() == 0
    go_on.set()
    await desk.sender.settle()
    await desk.round()
    assert desk.courier.texts == ["report", "alarm"]


async def test_one_slow_platform_leaves_room_for_the_others(desk: Desk) -> None:
    for number in range(PER_PLATFORM * 2):
        await desk.put("slow", platform="slow", conversation=str(number))
    await desk.put("fine", platform="other")
    assert await desk.sender.round() == PER_PLATFORM + 1
    await desk.sender.settle()
    assert "fine" in desk.courier.texts


async def test_no_more_goes_out_at_once_than_the_platform_takes(desk: Desk) -> None:
    desk.courier.paces["chat"] = Pace(per_second=2, burst=2)
    await desk.put("known", conversation="first")
    await desk.round()
    for number in range(6):
        await desk.put(str(number), conversation=str(number))
    desk.clock.advance(timedelta(seconds=10))
    await desk.round()
    assert len(desk.courier.seen) == 1 + 2
    desk.clock.advance(timedelta(seconds=0.5))
    await desk.round()
    assert len(desk.courier.seen) == 1 + 3
    desk.clock.advance(timedelta(seconds=60))
    await desk.round()
    assert len(desk.courier.seen) == 1 + 5, "a long silence saves up no more than the burst"


async def test_after_a_retry_after_the_alarm_of_that_conversation_waits_too(desk: Desk) -> None:
    desk.courier.errors["chat"] = [DeliveryDeferred("slow down", retry_after=7)]
    await desk.put("report", conversation="shift")
    await desk.round()
    await desk.put("alarm", conversation="shift", priority=20)
    desk.clock.advance(timedelta(seconds=6))
    await desk.round()
    assert desk.courier.texts == ["report"]
    desk.clock.advance(timedelta(seconds=1.5))
    await desk.round()
    assert desk.courier.texts == ["report", "alarm", "report"]


async def open_breaker(desk: Desk) -> None:
    desk.courier.errors["chat"] = [PlatformAway("down")] * 3
    for number in range(3):
        await desk.put(f"m{number}", conversation=str(number))
    await desk.round()


async def test_after_the_pause_one_message_alone_shows_whether_it_is_back(desk: Desk) -> None:
    await open_breaker(desk)
    desk.courier.errors["chat"] = [PlatformAway("still down")]
    desk.clock.advance(timedelta(seconds=30))
    assert await desk.sender.round() == 1
    await desk.sender.settle()
    assert await desk.sender.round() == 0, "it failed: the others are not tried"
    desk.clock.advance(timedelta(seconds=60))
    assert await desk.sender.round() == 1
    await desk.sender.settle()
    assert await desk.sender.round() == 2
    await desk.sender.settle()


async def test_a_restart_does_not_forget_that_a_platform_rests(desk: Desk) -> None:
    await open_breaker(desk)
    await desk.put("late", conversation="late")
    survivor = desk.another_sender()
    assert await survivor.round() == 0
    assert survivor.health().resting == ("chat",)


async def test_a_target_that_is_away_waits_untried_and_goes_at_once_when_it_is_back(desk: Desk) -> None:
    await open_breaker(desk)
    desk.sender = desk.another_sender()
    desk.away.add("chat")
    desk.clock.advance(timedelta(minutes=5))
    tried = len(desk.courier.seen)
    await desk.put("fine", platform="other")
    await desk.round()
    assert desk.courier.texts[tried:] == ["fine"]
    assert desk.sender.health().away == ("chat",)
    desk.away.clear()
    desk.sender.network_is_back(["chat"])
    await desk.round()
    assert len(desk.courier.seen) == tried + 4


async def test_a_recovered_network_ends_a_pause_that_is_still_long(desk: Desk) -> None:
    await open_breaker(desk)
    desk.courier.errors["chat"] = [PlatformAway("down")]
    desk.clock.advance(timedelta(seconds=30))
    await desk.round()
    tried = len(desk.courier.seen)
    desk.sender.network_is_back(["chat"])
    async with desk.pool.connection() as connection:
        await services.wake_platform(connection, "chat")
    await desk.round()
    assert len(desk.courier.seen) == tried + 3


@pytest.mark.slow
async def test_ten_thousand_waiting_messages_go_out_in_order(desk: Desk) -> None:
    size, conversations = 10_000, 40
    await backlog(desk, size, conversations)
    most = 0
    while len(desk.courier.seen) < size:
        started = await desk.sender.round()
        most = max(most, desk.sender.health().sending)
        assert started
        await desk.sender.settle()
    assert most <= PER_PLATFORM, "only what is under way is in memory"
    for number in range(conversations):
        texts = [p.message["text"] for p in desk.courier.seen if p.conversation == f"c{number}"]
        assert texts == list(range(number, size, conversations))


async def test_a_backlog_expires_in_batches_and_every_end_is_told(desk: Desk) -> None:
    await backlog(desk, 1_200, 3)
    desk.clock.advance(timedelta(hours=25))
    await desk.round()
    async with desk.pool.connection() as connection:
        cursor = await connection.execute("SELECT state, count(*) FROM outbox_item GROUP BY 1")
        assert await cursor.fetchall() == [("expired", 1_200)]
        cursor = await connection.execute("SELECT count(*) FROM events_event WHERE type = 'delivery.changed'")
        assert await cursor.fetchone() == (1_200,)
        cursor = await connection.execute("SELECT expired FROM outbox_outboxtarget WHERE platform = 'chat'")
        assert await cursor.fetchone() == (1_200,)


def test_the_statistics_of_a_platform_that_never_sent_are_its_queue(clean: None) -> None:
    for number in range(3):
        services.enqueue_now(
            OutboxItem(str(number), "chat", {"text": "x"}, run_id=uuid7(), priority=20 if number else 0)
        )
    with django_connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO outbox_networktarget (name, kind, host, port, state, since, reason, outages) "
            "VALUES ('chat', 'platform', 'h', 1, 'down', now(), '', 1)"
        )
        cursor.execute(
            "INSERT INTO outbox_outboxtarget (platform, failures, open_until, reason, delivered, failed, expired, "
            "postponed) VALUES ('chat', 3, now() + interval '30 s', 'no network', 5, 1, 2, 9)"
        )
    [found] = services.target_statistics()
    assert (found.platform, found.waiting, found.urgent, found.sending, found.conversations) == (
        "chat",
        3,
        2,
        0,
        1,
    )
    assert (found.breaker, found.failures, found.network) == (BreakerState.OPEN, 3, "down")
    assert found.rests_until
    assert (found.delivered, found.failed, found.expired, found.postponed) == (5, 1, 2, 9)
