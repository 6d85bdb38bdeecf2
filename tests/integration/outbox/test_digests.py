"""P7, P9: what is about the same leaves as one message, and each item's end is known all the same."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from appliance.lib.identity import uuid7
from appliance.outbox.errors import DeliveryDeferred, DeliveryRefused, PlatformAway
from appliance.outbox.ports import Digest, DigestRule, OutboxItem, Parcel
from appliance.outbox.services import enqueue

from .conftest import Desk

HOT = "task/overheat/tell"
MINUTE = timedelta(minutes=1)


@pytest.fixture
def storm(desk: Desk) -> Desk:
    desk.courier.rules["chat"] = DigestRule()
    return desk


async def put(desk: Desk, *texts: str, about: str = HOT, **more: Any) -> list[UUID]:
    return [await desk.put(text, conversation="42", about=about, **more) for text in texts]


async def wait(desk: Desk, seconds: float) -> None:
    desk.clock.advance(timedelta(seconds=seconds))
    await desk.round()


def said(desk: Desk) -> list[tuple[object, int]]:
    """Each message's own words, and how many it stands for."""
    seen = desk.courier.seen
    return [(one.message["text"], one.digest.count if one.digest else 1) for one in seen]


def digest(parcel: Parcel) -> Digest:
    assert parcel.digest is not None
    return parcel.digest


async def die(parcel: Parcel) -> None:
    raise asyncio.CancelledError


async def rows(desk: Desk, items: list[UUID]) -> list[dict[str, Any]]:
    return [await desk.row(item) for item in items]


async def test_the_first_five_go_out_as_they_are_and_the_rest_of_the_storm_is_told_at_once(
    storm: Desk,
) -> None:
    for number in range(5):
        await put(storm, f"m{number}")
        await storm.round()
    await put(storm, "m5")
    await storm.round()
    await put(storm, "m6", "m7", "m8")
    await storm.round()
    assert said(storm) == [(f"m{number}", 1) for number in range(6)], "the sixth begins a pause"
    await wait(storm, 61)
    assert said(storm)[6:] == [("m6", 1), ("m7", 1), ("m8", 1)], "three in a minute are no storm"


async def test_what_waited_is_one_message_with_the_last_ones_words(storm: Desk) -> None:
    run = uuid7()
    items = await put(storm, *(f"m{number}" for number in range(22)))
    items += await put(storm, "the last", run_id=run)
    others = [await storm.put("elsewhere", conversation="43", about=HOT)]
    await storm.round()
    assert ("elsewhere", 1) in said(storm)
    assert ("the last", 23) in said(storm)
    assert len(storm.courier.seen) == 2
    found = await rows(storm, items)
    assert {row["state"] for row in found} == {"delivered"}
    assert {row["reason"] for row in found} == {"told in a digest of 23"}
    assert {row["receipt"]["detail"]["digest"] for row in found} == {23}
    assert all(row["told"] and row["lease_until"] is None for row in found)
    assert len(storm.runs.heard) == 24
    [(what, _, _, receipt)] = [one for one in storm.runs.heard if one[1] == run]
    assert (what, receipt) == ("delivered", found[-1]["receipt"])
    [last] = [one for one in storm.courier.seen if one.digest]
    assert digest(last).since == found[0]["created_at"]
    assert (await rows(storm, others))[0]["reason"] == ""


async def test_each_item_has_its_event_and_counts_as_one_delivery(storm: Desk) -> None:
    items = await put(storm, *(f"m{number}" for number in range(8)))
    await storm.round()
    async with storm.pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT data->>'item_id', data->>'state' FROM events_event WHERE type = 'delivery.changed'"
        )
        assert sorted(await cursor.fetchall()) == sorted((str(item), "delivered") for item in items)
        cursor = await connection.execute("SELECT delivered, failed, postponed FROM outbox_outboxtarget")
        assert await cursor.fetchone() == (8, 0, 0)


async def test_what_is_about_nothing_or_on_a_platform_without_digests_stands_alone(storm: Desk) -> None:
    await put(storm, *(f"m{number}" for number in range(8)), about="")
    for number in range(8):
        await storm.put(f"n{number}", platform="plain", about=HOT)
    await storm.round()
    assert len(storm.courier.seen) == 16
    assert all(parcel.digest is None for parcel in storm.courier.seen)


async def test_a_kind_that_rests_holds_back_no_other_and_what_is_critical_comes_through(storm: Desk) -> None:
    await put(storm, *(f"m{number}" for number in range(8)))
    await storm.round()
    await put(storm, *(f"n{number}" for number in range(8)))
    await put(storm, "other", about="task/flood/tell")
    await put(storm, "an answer", about="")
    await storm.round()
    assert said(storm) == [("m7", 8), ("other", 1), ("an answer", 1)]
    await wait(storm, 61)
    assert said(storm)[3:] == [("n7", 8)]
    await put(storm, *(f"o{number}" for number in range(5)))
    await put(storm, "the tank bursts", priority=20)
    await put(storm, "o5")
    await wait(storm, 59)
    assert len(storm.courier.seen) == 4
    await wait(storm, 2)
    assert said(storm)[4:] == [("the tank bursts", 7)], "the pause is two minutes by now, for all else"


async def test_the_most_urgent_kind_goes_first_also_before_a_digest(storm: Desk) -> None:
    await put(storm, *(f"m{number}" for number in range(8)))
    await put(storm, "alarm", about="alert/locked-out", priority=15)
    await put(storm, "stop", about="", priority=30)
    await storm.round()
    assert said(storm) == [("stop", 1), ("alarm", 1), ("m7", 8)]


async def test_where_nothing_can_be_edited_the_pause_between_two_digests_grows(storm: Desk) -> None:
    told_at = []
    began = storm.clock.now()
    for _ in range(31):  # six messages a minute, for half an hour
        before = len(storm.courier.seen)
        await put(storm, *["hot"] * 6)
        await storm.round()
        if len(storm.courier.seen) > before:
            told_at.append((storm.clock.now() - began) // MINUTE)
        storm.clock.advance(MINUTE)
    assert told_at == [0, 1, 3, 8, 18, 28]
    assert said(storm) == [("hot", count) for count in (6, 6, 12, 30, 60, 60)]


async def test_where_it_can_be_edited_a_digest_takes_the_place_of_the_one_before(storm: Desk) -> None:
    storm.courier.rules["chat"] = DigestRule(edits=True)
    items = await put(storm, *(f"m{number}" for number in range(8)))
    await storm.round()
    await put(storm, *(f"n{number}" for number in range(3)))
    await wait(storm, 14)
    assert said(storm) == [("m7", 8)]
    await wait(storm, 2)
    assert said(storm) == [("m7", 8), ("n2", 11)]
    first, second = storm.courier.seen
    assert (digest(first).replaces, digest(second).replaces) == (None, items[-1])
    assert digest(second).since == digest(first).since
    storm.clock.advance(10 * MINUTE)
    await put(storm, *(f"o{number}" for number in range(7)))
    await storm.round()
    assert said(storm)[2:] == [("o6", 7)]
    assert digest(storm.courier.seen[2]).replaces is None, "after ten minutes people get a new one"


async def test_a_platform_that_cannot_edit_any_more_is_spoken_to_as_one_that_cannot(storm: Desk) -> None:
    storm.courier.rules["chat"] = DigestRule(edits=True)
    storm.courier.edited = False
    await put(storm, *(f"m{number}" for number in range(8)))
    await storm.round()
    await put(storm, *(f"n{number}" for number in range(8)))
    await wait(storm, 16)
    await put(storm, *(f"o{number}" for number in range(8)))
    await wait(storm, 100)
    assert len(storm.courier.seen) == 2
    await wait(storm, 21)
    assert len(storm.courier.seen) == 3


async def test_a_digest_that_fails_waits_together_and_goes_out_together(storm: Desk) -> None:
    storm.courier.errors["chat"] = [
        PlatformAway("no network", parts_done=1),
        DeliveryDeferred("slow", retry_after=7),
    ]
    items = await put(storm, *(f"m{number}" for number in range(8)))
    await storm.round()
    found = await rows(storm, items)
    assert {(row["state"], row["reason"], row["parts_done"]) for row in found} == {
        ("pending", "no network", 0)
    }
    assert len({row["next_at"] for row in found}) == 1
    await put(storm, "late")
    await storm.round()
    assert len(storm.courier.seen) == 1, "its target is waited for"
    await wait(storm, 2)
    await wait(storm, 8)
    assert said(storm) == [("m7", 8), ("late", 9), ("late", 9)]
    assert [one.repeat_possible for one in storm.courier.seen] == [False, True, True]
    assert {row["state"] for row in await rows(storm, items)} == {"delivered"}


async def test_a_digest_that_is_refused_fails_all_its_runs(storm: Desk) -> None:
    storm.courier.errors["chat"] = [DeliveryRefused("chat not found")]
    items = await put(storm, *(f"m{number}" for number in range(8)))
    await storm.round()
    assert {row["state"] for row in await rows(storm, items)} == {"failed"}
    assert {(one[0], one[3]) for one in storm.runs.heard} == {("failed", "chat not found")}
    assert len(storm.runs.heard) == 8


async def test_a_sender_that_dies_with_a_digest_repeats_it_once_and_says_so(storm: Desk) -> None:
    items = await put(storm, *(f"m{number}" for number in range(8)))

    storm.courier.before = die
    await storm.sender.round()
    await storm.sender.settle()
    assert {row["state"] for row in await rows(storm, items)} == {"sending"}
    storm.courier.before = None
    storm.sender = storm.another_sender()
    await storm.round()
    assert len(storm.courier.seen) == 1, "the leases still hold"
    await wait(storm, 31)
    assert said(storm) == [("m7", 8), ("m7", 8)]
    assert storm.courier.seen[-1].repeat_possible
    found = await rows(storm, items)
    assert {(row["state"], row["epoch"], row["repeat_possible"]) for row in found} == {("delivered", 2, True)}


async def test_a_small_digest_of_a_dead_sender_comes_again_as_one(storm: Desk) -> None:
    await put(storm, *(f"m{number}" for number in range(8)))
    await storm.round()
    await put(storm, "n0", "n1", priority=20)

    storm.clock.advance(timedelta(seconds=59))  # of the first eight, a second is left
    await put(storm, "n2", priority=20)
    storm.courier.rules["chat"] = DigestRule(within=120)
    storm.courier.before = die
    await wait(storm, 2)
    storm.courier.before = None
    storm.sender = storm.another_sender()
    await wait(storm, 31)
    assert said(storm) == [("m7", 8), ("n2", 3), ("n2", 3)]


async def test_a_sender_whose_leases_ended_writes_none_of_its_digest(storm: Desk) -> None:
    items = await put(storm, *(f"m{number}" for number in range(8)))
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def hang(parcel: Parcel) -> None:
        if not parcel.repeat_possible:
            reached.set()
            await go_on.wait()
            raise DeliveryRefused("stale news")

    storm.courier.before = hang
    await storm.sender.round()
    await asyncio.wait_for(reached.wait(), 5)
    storm.clock.advance(timedelta(seconds=31))
    survivor = storm.another_sender()
    await survivor.round()
    await survivor.settle()
    go_on.set()
    await storm.sender.settle()
    assert {(row["state"], row["epoch"]) for row in await rows(storm, items)} == {("delivered", 2)}
    assert [heard[0] for heard in storm.runs.heard] == ["delivered"] * 8


async def test_a_long_delivery_keeps_the_leases_of_all(storm: Desk) -> None:
    await put(storm, *(f"m{number}" for number in range(8)))
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def hang(parcel: Parcel) -> None:
        reached.set()
        await go_on.wait()

    storm.courier.before = hang
    await storm.sender.round()
    await asyncio.wait_for(reached.wait(), 5)
    for _ in range(4):
        storm.clock.advance(timedelta(seconds=11))
        await storm.sender.round()
        assert await storm.another_sender().round() == 0
    go_on.set()
    await storm.sender.settle()
    assert said(storm) == [("m7", 8)]


async def test_what_expired_is_told_in_the_next_digest_and_once(storm: Desk) -> None:
    storm.away.add("chat")
    storm.sender = storm.another_sender()
    await put(storm, *(f"old {n}" for n in range(12)), expires_at=storm.clock.now() + timedelta(seconds=20))
    await put(storm, "new")
    await wait(storm, 30)
    assert len(storm.runs.heard) == 12
    storm.away.clear()
    await storm.round()
    assert [(digest(one).count, digest(one).expired) for one in storm.courier.seen] == [(1, 12)]
    await put(storm, "newer")
    await wait(storm, 61)
    assert storm.courier.seen[-1].digest is None


async def test_a_clock_that_is_set_back_lets_no_kind_rest_for_longer(storm: Desk) -> None:
    await put(storm, *(f"m{number}" for number in range(8)))
    await storm.round()
    await put(storm, *(f"n{number}" for number in range(8)))
    storm.clock.set(timedelta(hours=-1))
    await wait(storm, 1)
    assert said(storm) == [("m7", 8), ("n7", 8)]


async def test_more_than_are_claimed_at_once_are_one_digest_still(storm: Desk) -> None:
    async with storm.pool.connection() as connection, connection.transaction():
        for number in range(1203):
            await enqueue(
                connection,
                OutboxItem(f"k{number}", "chat", {"text": "hot"}, "42", at=storm.clock.now(), about=HOT),
            )
    await storm.round()
    assert said(storm) == [("hot", 1203)]
