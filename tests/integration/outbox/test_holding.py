"""What waits for a better time: out of the line, told when it ends, and never longer than it could be."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import pytest
from django.db import connection as django_connection

from appliance.accounts.domain import Role
from appliance.accounts.principal import Principal
from appliance.outbox import holding, services
from appliance.outbox.ports import Hold, Parcel

from .conftest import Desk

ABOUT = "task/fill/tell"
HOUR = timedelta(hours=1)
pytestmark = pytest.mark.usefixtures("clean")
T = TypeVar("T")


async def in_thread(work: Callable[..., T], *arguments: Any) -> T:
    """Call a service as a view does: in a thread with a connection of its own."""

    def call() -> T:
        try:
            return work(*arguments)
        finally:
            django_connection.close()

    return await asyncio.to_thread(call)


@pytest.fixture
def night(desk: Desk) -> datetime:
    """Quiet hours for ten hours from now, for what is less urgent than high."""
    end = desk.clock.now() + 10 * HOUR

    def hold(parcel: Parcel, now: datetime) -> Hold | None:
        return Hold(end, "quiet hours", 10) if now < end and parcel.priority < 10 else None

    desk.courier.hold = hold
    return end


async def states(desk: Desk, *items: UUID) -> list[str]:
    return [(await desk.row(item))["state"] for item in items]


async def test_what_may_pass_is_not_stopped_by_what_may_not(desk: Desk, night: datetime) -> None:
    first = [await desk.put(f"news {n}", about=ABOUT) for n in range(4)]
    alarm = await desk.put("alarm", about=ABOUT, priority=20)
    answer = await desk.put("answer")
    await desk.round()
    assert desk.courier.texts == ["alarm", "answer"]
    assert await states(desk, *first, alarm, answer) == ["held"] * 4 + ["delivered"] * 2
    row = await desk.row(first[0])
    assert (row["reason"], row["next_at"], row["attempts"]) == ("quiet hours", night, 0)


async def test_all_alike_of_a_target_are_held_at_one_look(desk: Desk, night: datetime) -> None:
    mine = [await desk.put("news", about=ABOUT) for _ in range(20)]
    other = await desk.put("news", about=ABOUT, conversation="other")
    await desk.sender.round()
    await desk.sender.settle()
    assert len(desk.courier.asked) == 2
    assert set(await states(desk, *mine, other)) == {"held"}


async def test_what_is_muted_takes_only_its_own_kind_along(desk: Desk) -> None:
    end = desk.clock.now() + HOUR

    def hold(parcel: Parcel, now: datetime) -> Hold | None:
        return Hold(end, "muted", 20, "task/fill") if parcel.about.startswith("task/fill/") else None

    desk.courier.hold = hold
    about = ["task/fill/tell", "task/fill/say", "task/filler/tell", "alert/fill", ""]
    items = [await desk.put(one, about=one) for one in about]
    await desk.round()
    assert await states(desk, *items) == ["held", "held", "delivered", "delivered", "delivered"]


async def test_when_it_ends_what_was_held_goes_out_in_order(desk: Desk, night: datetime) -> None:
    items = [await desk.put(f"news {n}", about=ABOUT) for n in range(3)]
    await desk.round()
    desk.clock.advance(timedelta(hours=9, minutes=59))
    await desk.round()
    assert desk.courier.texts == []
    desk.clock.advance(timedelta(minutes=2))
    await desk.round()
    assert desk.courier.texts == ["news 0", "news 1", "news 2"]
    assert await states(desk, *items) == ["delivered"] * 3
    assert [what for what, *_ in desk.runs.heard] == ["delivered"] * 3


async def test_what_its_author_gave_a_time_expires_and_says_why(desk: Desk, night: datetime) -> None:
    short = await desk.put("short", about=ABOUT, expires_at=desk.clock.now() + HOUR)
    await desk.round()
    desk.clock.advance(timedelta(hours=2))
    await desk.round()
    row = await desk.row(short)
    assert (row["state"], row["reason"]) == ("expired", "expired while it was held: quiet hours")
    assert [(what, said) for what, _, _, said in desk.runs.heard] == [("failed", row["reason"])]


async def test_what_has_no_time_of_its_own_is_told_after_the_longest_hold(desk: Desk) -> None:
    end = desk.clock.now() + timedelta(days=7)
    desk.courier.hold = lambda parcel, now: Hold(end, "muted", 20) if now < end else None
    item = await desk.put("news", about=ABOUT, expires_at=None)
    await desk.round()
    desk.clock.advance(timedelta(days=7, minutes=1))
    await desk.round()
    assert await states(desk, item) == ["delivered"]


async def test_a_hold_that_ended_early_is_looked_at_again(desk: Desk, night: datetime) -> None:
    item, other = await desk.put("a", about=ABOUT), await desk.put("b", platform="mail", about=ABOUT)
    await desk.round()
    desk.courier.hold = lambda parcel, now: None
    async with desk.pool.connection() as connection:
        assert await holding.release(connection, "chat", "", "task/fill") == 1
    await desk.round()
    assert await states(desk, item, other) == ["delivered", "held"]


async def test_what_is_only_looked_at_again_stays_held_and_says_nothing_new(
    desk: Desk, night: datetime
) -> None:
    item = await desk.put("a", about=ABOUT)
    await desk.round()

    async def told() -> int:
        async with desk.pool.connection() as connection:
            row = await (await connection.execute("SELECT count(*) FROM events_event")).fetchone()
        return int(row[0]) if row else 0

    before = await told()
    async with desk.pool.connection() as connection:
        await holding.release(connection)
    await desk.round()
    assert await states(desk, item) == ["held"]
    assert (await desk.row(item))["attempts"] == 0
    assert await told() == before == 1


async def test_a_clock_that_is_set_back_makes_no_hold_longer(desk: Desk, night: datetime) -> None:
    """A day back it is no night yet; the row's end would be a day and ten hours away."""
    item = await desk.put("a", about=ABOUT)
    await desk.round()
    desk.courier.hold = lambda parcel, now: None
    desk.clock.set(timedelta(days=-1))
    await desk.round()
    assert await states(desk, item) == ["delivered"]


async def test_a_sender_that_begins_asks_about_what_is_held(desk: Desk, night: datetime) -> None:
    """The clock may have been set, or a mute have ended, while nobody was there."""
    item = await desk.put("a", about=ABOUT)
    await desk.round()
    desk.courier.hold = lambda parcel, now: None
    another = desk.another_sender()
    await another.round()
    await another.settle()
    assert await states(desk, item) == ["delivered"]


async def test_what_has_begun_to_arrive_is_said_to_its_end(desk: Desk, night: datetime) -> None:
    item = await desk.put("a", about=ABOUT)
    async with desk.pool.connection() as connection:
        await connection.execute("UPDATE outbox_item SET parts_done = 1 WHERE id = %s", (item,))
    await desk.round()
    assert await states(desk, item) == ["delivered"]


async def test_a_question_that_breaks_holds_nothing_back(desk: Desk) -> None:
    def broken(parcel: Parcel, now: datetime) -> Hold | None:
        raise ValueError("of another version")

    desk.courier.hold = broken
    item = await desk.put("a", about=ABOUT)
    await desk.round()
    assert await states(desk, item) == ["delivered"]


async def test_a_stale_sender_holds_nothing(desk: Desk, night: datetime) -> None:
    item = await desk.put("a", about=ABOUT)
    stolen = Parcel(item, "k", "chat", None, {}, 1, 0, False, None, "", ABOUT)
    async with desk.pool.connection() as connection:
        assert await holding.hold(connection, stolen, 7, Hold(night, "quiet hours", 10), "") == 0
    assert await states(desk, item) == ["pending"]


ANN = Principal("user:ann", Role.OPERATOR)


async def test_a_person_sends_it_now_or_drops_it(desk: Desk, night: datetime) -> None:
    now, never = await desk.put("now", about=ABOUT), await desk.put("never", about=ABOUT)
    await desk.round()
    await in_thread(services.retry, now, ANN)
    await in_thread(services.drop, never, ANN)
    await desk.round()
    assert desk.courier.texts == ["now"]
    assert await states(desk, now, never) == ["delivered", "failed"]


async def test_screens_count_it_apart_from_what_waits(desk: Desk, night: datetime) -> None:
    await desk.put("a", about=ABOUT)
    await desk.put("b", about=ABOUT, conversation="shift")
    await desk.round()
    await desk.put("c", conversation="shift")

    def seen() -> tuple[Any, ...]:
        [one] = services.target_statistics(desk.clock.now())
        targets = [(t.conversation, t.waiting, t.held, t.state, t.reason) for t in services.targets()]
        places = [str(vars(row)["place"]) for row in services.listed()]
        return dict(services.counts()), (one.waiting, one.held), targets, places

    counts, statistics, targets, places = await in_thread(seen)
    assert counts == {"chat": (1, 2)}
    assert statistics == (1, 2)
    assert targets == [("", 0, 1, "held", "quiet hours"), ("shift", 1, 1, "pending", "")]
    assert sorted(places) == ["1", "None", "None"]


async def test_what_is_overdue_is_found(desk: Desk, night: datetime) -> None:
    item = await desk.put("a", about=ABOUT)
    await desk.round()
    async with desk.pool.connection() as connection:
        assert await services.overdue(connection, night) == []
        assert await services.overdue(connection, night + timedelta(minutes=1)) == [item]
