"""Nobody waits for ever, nobody goes for nothing, and what is tested takes nobody's place."""

import asyncio
from dataclasses import replace

import pytest

from appliance.inference.backends.contract import Readiness, Sign, Stats
from appliance.inference.domain import InstanceState
from appliance.inference.leases import Granted, RefusedLease
from appliance.lib.priority import Priority
from tests.engine_room import GIB, Room, served
from tests.wait import wait_for_async

pytestmark = pytest.mark.asyncio
READY, DRAINING, ABSENT = InstanceState.READY, InstanceState.DRAINING, InstanceState.ABSENT
TESTS = {"candidate": True, "priority": Priority.LOW, "deadline": 3600.0}


def asking(room: Room, model: str, **given: object) -> "asyncio.Task[Granted | RefusedLease]":
    return asyncio.create_task(room.ask(model, **{"deadline": 600.0, **given}))


async def granted(room: Room, model: str, **given: object) -> Granted:
    found = await room.ask(model, **given)
    assert isinstance(found, Granted), found
    return found


async def idle(room: Room, *models: str) -> None:
    """Loaded, with nothing to do, and so long ago that they may go."""
    for model in models:
        room.keeper.release((await granted(room, model)).lease)
    room.advance(61)


async def test_whoever_waits_while_another_version_comes_gets_that_one() -> None:
    async with Room(served("a")) as room:
        first = await granted(room, "a")
        waiting = asking(room, "a")
        await wait_for_async(lambda: room.keeper.waiting == 1)
        room.shelf.models = [served("a", 5)]
        await room.keeper.refresh()
        assert room.state("a") is DRAINING
        room.keeper.release(first.lease)
        found = await waiting
        assert isinstance(found, Granted)
        assert found.chosen.digest == served("a", 5).manifest.digest
        assert room.engines.of("a").starts == 2


async def test_whoever_waits_for_what_is_withdrawn_is_refused_when_it_is_gone() -> None:
    async with Room(served("a"), served("b")) as room:
        first = await granted(room, "a")
        waiting = asking(room, "a")
        await wait_for_async(lambda: room.keeper.waiting == 1)
        room.shelf.models = [served("b")]
        await room.keeper.refresh()
        room.keeper.release(first.lease)
        found = await waiting
        assert isinstance(found, RefusedLease)
        assert "not served" in found.message
        assert room.engines.of("a").starts == 1


async def test_a_driver_that_still_counts_what_is_gone_makes_nobody_be_refused() -> None:
    async with Room(served("a", 16), served("b", 16), driver=True) as room:
        room.keeper.release((await granted(room, "a")).lease)
        for _ in range(2):
            await room.keeper.refresh()
        room.advance(61)
        waiting = asking(room, "b")
        await room.until("a", ABSENT)
        room.keeper.look()
        assert room.keeper.waiting == 1
        for _ in range(2):
            await room.keeper.refresh()
        assert isinstance(await waiting, Granted)


async def test_no_more_go_than_have_to_however_long_they_take() -> None:
    async with Room(served("a", 7), served("c", 7), served("d", 6), served("b", 7, slots=2)) as room:
        await idle(room, "a", "c", "d")
        for name in ("a", "c", "d"):
            room.engines.of(name).stopping.clear()
        waiting = [asking(room, "b"), asking(room, "b")]
        await wait_for_async(lambda: room.keeper.waiting == 2)
        for _ in range(3):
            room.advance(1)
        there = [room.state(name) for name in ("a", "c", "d")]
        for name in ("a", "c", "d"):
            room.engines.of(name).stopping.set()
        assert sorted(there) == [READY, READY, InstanceState.STOPPING]
        assert all(isinstance(one, Granted) for one in await asyncio.gather(*waiting))


async def test_two_models_that_are_always_wanted_take_turns_of_a_minute() -> None:
    async with Room(served("a", 16), served("b", 16)) as room:
        first = await granted(room, "a")
        waiting = asking(room, "b")
        await wait_for_async(lambda: room.keeper.waiting == 1)
        room.advance(59)
        assert room.state("a") is READY
        room.advance(2)
        assert room.state("a") is DRAINING
        back = asking(room, "a")
        room.keeper.release(first.lease)
        second = await waiting
        assert isinstance(second, Granted)
        room.advance(31)
        assert room.state("b") is READY
        room.advance(30)
        assert room.state("b") is DRAINING
        room.keeper.release(second.lease)
        assert isinstance(await back, Granted)


async def test_what_is_more_urgent_keeps_its_model() -> None:
    async with Room(served("a", 16), served("b", 16)) as room:
        await granted(room, "a", priority=Priority.HIGH)
        waiting = asking(room, "b")
        await wait_for_async(lambda: room.keeper.waiting == 1)
        room.advance(100)
        assert room.state("a") is READY
        waiting.cancel()


async def test_equals_of_the_lowest_priority_take_turns_too() -> None:
    async with Room(served("a", 16), served("b", 16)) as room:
        await granted(room, "a", priority=Priority.LOW)
        waiting = asking(room, "b", priority=Priority.LOW)
        await wait_for_async(lambda: room.keeper.waiting == 1)
        room.advance(61)
        assert room.state("a") is DRAINING
        waiting.cancel()


async def test_an_answer_that_hangs_does_not_hold_up_a_model_that_is_to_go() -> None:
    async with Room(served("a"), silence=60) as room:
        await granted(room, "a")
        room.keeper.roster.drain("a", "a person said so")
        room.advance(59)
        assert room.state("a") is DRAINING
        room.advance(2)
        await room.until("a", ABSENT)
        assert room.engines.of("a").stops == 1
        assert room.keeper.roster.instances["a"].reason == "a person said so"


async def test_a_candidate_never_takes_the_place_of_the_live_one_of_its_name() -> None:
    tested = served("a", 16, candidate=True, keep_alive=0.0)
    async with Room(served("a", 16), tested) as room:
        await idle(room, "a")
        refused = await room.ask(tested.name, **TESTS)
        assert isinstance(refused, RefusedLease)
        assert "5.6 GiB" in refused.message
        assert room.state("a") is READY


async def test_whoever_is_more_urgent_gets_the_place_of_a_candidate_under_test_at_once() -> None:
    tested = served("c", 16, candidate=True, keep_alive=0.0)
    async with Room(served("b", 16), tested) as room:
        await granted(room, tested.name, **TESTS)
        await granted(room, "b")
        assert room.keeper.roster.instances[tested.name].held == {}
        assert room.keeper.roster.instances[tested.name].reason == "b needs the memory"
        assert room.engines.of("c").stops == 1
        assert room.keeper.roster.failures.total() == 0


async def test_whoever_is_more_urgent_gets_the_place_of_a_candidate_that_still_loads() -> None:
    tested = served("c", 16, candidate=True, keep_alive=0.0)
    async with Room(served("b", 16), tested) as room:
        room.engines.of("c").readiness = Readiness(Sign.LOADING, "weights")
        testing = asking(room, tested.name, **TESTS)
        await room.until(tested.name, InstanceState.LOADING)
        await granted(room, "b")
        assert room.engines.of("c").stops == 1
        assert room.keeper.waiting == 1
        testing.cancel()


async def test_an_engine_whose_figures_are_nonsense_goes_on() -> None:
    async with Room(served("a")) as room:
        room.engines.of("a").nonsense = True
        await granted(room, "a")
        await wait_for_async(lambda: room.engines.of("a").weighed == 1)
        assert room.state("a") is READY
        assert room.keeper.roster.failures.total() == 0


async def test_what_a_model_takes_at_work_is_learned() -> None:
    one = served("a")
    one = replace(one, profile=replace(one.profile, device=""))
    async with Room(one) as room:
        room.engines.of("a").stats = Stats(memory=9 * GIB)
        await granted(room, "a")
        await wait_for_async(lambda: "a" in room.records.known and bool(room.records.known["a"].footprint))
        assert room.keeper.roster.instances["a"].footprint.measured
        learned = room.records.known["a"].footprint
        assert learned is not None
        assert learned.memory == 9 * GIB
