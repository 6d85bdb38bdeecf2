"""Storms in quiet hours and under mutes: held as a whole, told as one afterwards, and in nobody else's way."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from appliance.accounts.domain import Role
from appliance.accounts.principal import Principal
from appliance.outbox import holding, services
from appliance.outbox.digests import FoldingLedger
from appliance.outbox.domain import Breaker
from appliance.outbox.ports import DigestRule, Hold, Parcel, Receipt

from .conftest import Desk
from .test_digests import HOT, die, put, rows, said, wait
from .test_holding import in_thread

HOUR = timedelta(hours=1)
ANN = Principal("user:ann", Role.OPERATOR)
pytestmark = pytest.mark.usefixtures("clean")


@pytest.fixture
def storm(desk: Desk) -> Desk:
    desk.courier.rules["chat"] = DigestRule()
    return desk


def fall(desk: Desk) -> datetime:
    """It is night from now on, for ten hours, for what is less urgent than high."""
    end = desk.clock.now() + 10 * HOUR

    def hold(parcel: Parcel, now: datetime) -> Hold | None:
        return Hold(end, "quiet hours", 10) if now < end and parcel.priority < 10 else None

    desk.courier.hold = hold
    return end


async def numbered(desk: Desk, first: int, end: int, **more: Any) -> list[UUID]:
    return await put(desk, *(f"m{number}" for number in range(first, end)), **more)


async def events(desk: Desk) -> Counter[tuple[str, str]]:
    """How often each item was said to be in each state."""
    async with desk.pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT data->>'item_id', data->>'state' FROM events_event WHERE type = 'delivery.changed'"
        )
        return Counter([(item, state) for item, state in await cursor.fetchall()])


async def test_a_storm_at_night_is_held_as_a_whole_and_told_as_one_in_the_morning(storm: Desk) -> None:
    morning = fall(storm)
    items = await numbered(storm, 0, 12)
    await storm.sender.round()
    await storm.sender.settle()
    assert len(storm.courier.asked) == 1
    held = {
        (row["state"], row["reason"], row["next_at"], row["attempts"]) for row in await rows(storm, items)
    }
    assert held == {("held", "quiet hours", morning, 0)}
    items += await numbered(storm, 12, 15)
    await wait(storm, 5 * HOUR.total_seconds())
    assert said(storm) == []
    await wait(storm, 5 * HOUR.total_seconds() + 1)
    assert said(storm) == [("m14", 15)]
    assert {row["reason"] for row in await rows(storm, items)} == {"told in a digest of 15"}
    assert sorted(run for _, run, *_ in storm.runs.heard) == sorted(
        row["run_id"] for row in await rows(storm, items)
    )
    assert {what for what, *_ in storm.runs.heard} == {"delivered"}
    each = [(str(item), state) for item in items for state in ("held", "delivered")]
    assert await events(storm) == Counter(each)


async def test_a_storm_that_goes_on_after_its_night_is_looked_at_again_and_says_nothing_new(
    storm: Desk,
) -> None:
    fall(storm)
    items = await numbered(storm, 0, 8)
    await storm.round()
    before = await events(storm)
    async with storm.pool.connection() as connection:
        assert await holding.release(connection) == 8
    await storm.round()
    assert {(row["state"], row["attempts"]) for row in await rows(storm, items)} == {("held", 0)}
    assert await events(storm) == before


async def test_a_sender_whose_leases_ended_holds_none_of_a_storm(storm: Desk) -> None:
    def ledger(owner: str) -> FoldingLedger:
        return FoldingLedger(storm.pool, storm.clock, owner, timedelta(seconds=30), storm.courier.digests)

    items = await numbered(storm, 0, 8)
    stale, heir = ledger("stale"), ledger("heir")
    [old] = await stale.claim(8, 8, {}, [])
    storm.clock.advance(timedelta(seconds=31))
    [new] = await heir.claim(8, 8, {}, [])
    night = Hold(storm.clock.now() + HOUR, "quiet hours", 10)
    assert await stale.hold(old, night) == 0
    assert {row["state"] for row in await rows(storm, items)} == {"sending"}
    assert await heir.delivered(new, Receipt("chat", "42", ("m1",), storm.clock.now()), Breaker())
    assert await stale.hold(old, night) == 0
    assert {row["state"] for row in await rows(storm, items)} == {"delivered"}


async def test_what_is_critical_comes_through_while_the_rest_of_its_kind_is_held(storm: Desk) -> None:
    fall(storm)
    items = await numbered(storm, 0, 8)
    await storm.round()
    await put(storm, "the tank bursts", priority=20)
    await storm.round()
    assert said(storm) == [("the tank bursts", 1)]
    assert {row["state"] for row in await rows(storm, items)} == {"held"}
    await wait(storm, 10 * HOUR.total_seconds())
    assert said(storm)[1:] == [("m7", 8)]


async def test_a_storm_with_something_critical_in_it_is_as_urgent_as_that(storm: Desk) -> None:
    """A sender died with eight at dusk; the ninth is the urgent one, and they are told together."""
    await numbered(storm, 0, 8)
    storm.courier.before = die
    await storm.sender.round()
    await storm.sender.settle()
    storm.courier.before = None
    storm.sender = storm.another_sender()
    fall(storm)
    await put(storm, "the tank bursts", priority=20)
    await wait(storm, 31)
    assert said(storm) == [("m7", 8), ("the tank bursts", 9)]


async def test_what_a_person_wants_now_goes_by_itself_and_the_storm_around_it_stays(storm: Desk) -> None:
    fall(storm)
    items = await numbered(storm, 0, 8)
    await in_thread(services.retry, items[3], ANN)
    await storm.round()
    assert said(storm) == [("m3", 1)]
    assert [row["state"] for row in await rows(storm, items)].count("held") == 7
    await in_thread(services.retry, items[5], ANN)
    await storm.round()
    assert said(storm) == [("m3", 1), ("m5", 1)]


async def test_what_a_person_wants_now_does_not_wait_for_the_next_digest(storm: Desk) -> None:
    await numbered(storm, 0, 8)
    await storm.round()
    later = await numbered(storm, 8, 16)
    await storm.round()
    assert said(storm) == [("m7", 8)]
    await in_thread(services.retry, later[2], ANN)
    await storm.round()
    assert said(storm) == [("m7", 8), ("m10", 1)]
    await wait(storm, 61)
    assert said(storm)[2:] == [("m15", 7)]


async def test_what_expired_while_a_storm_was_held_is_told_with_its_rest(storm: Desk) -> None:
    fall(storm)
    short = await numbered(storm, 0, 3, expires_at=storm.clock.now() + HOUR)
    await numbered(storm, 3, 11, expires_at=None)
    await wait(storm, 2 * HOUR.total_seconds())
    assert {row["state"] for row in await rows(storm, short)} == {"expired"}
    await wait(storm, 8 * HOUR.total_seconds())
    assert said(storm) == [("m10", 8)]
    [told] = storm.courier.seen
    assert told.digest is not None
    assert told.digest.expired == 3
    assert Counter(what for what, *_ in storm.runs.heard) == {"failed": 3, "delivered": 8}


async def test_a_kind_that_is_muted_in_one_conversation_is_told_in_the_others(storm: Desk) -> None:
    end = storm.clock.now() + HOUR
    muted = Hold(end, "muted", 20, HOT)

    def hold(parcel: Parcel, now: datetime) -> Hold | None:
        return muted if now < end and (parcel.conversation, parcel.about) == ("42", HOT) else None

    storm.courier.hold = hold
    mine = await numbered(storm, 0, 8)
    others = [await storm.put(f"o{n}", conversation="43", about=HOT) for n in range(8)]
    await put(storm, "water", about="task/flood/tell")
    await storm.round()
    assert sorted(said(storm), key=str) == [("o7", 8), ("water", 1)]
    assert {row["state"] for row in await rows(storm, mine)} == {"held"}
    assert {row["reason"] for row in await rows(storm, others)} == {"told in a digest of 8"}
    others = [await storm.put(f"p{n}", conversation="43", about=HOT) for n in range(8)]
    storm.courier.hold = lambda parcel, now: None
    async with storm.pool.connection() as connection:
        assert await holding.release(connection, "chat", "42", HOT) == 8
    await storm.round()
    assert said(storm)[2:] == [("m7", 8)], "it does not rest for what was told elsewhere"
    assert {row["state"] for row in await rows(storm, others)} == {"pending"}
