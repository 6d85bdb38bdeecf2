"""The keeper loads what is asked for, in order, and nothing thrashes."""

import asyncio
from datetime import timedelta

import pytest

from appliance.inference.backends.contract import Readiness, Sign
from appliance.inference.domain import InstanceState
from appliance.inference.leases import Beat, Granted, RefusedLease, Waiting
from appliance.inference.scheduling.life import End
from appliance.lib.priority import Priority
from tests.engine_room import GIB, Room, served
from tests.wait import wait_for_async

pytestmark = pytest.mark.asyncio
LOADING = Readiness(Sign.LOADING, "weights 10 %")
KILLED = Readiness(Sign.GONE, reason="Segmentation fault", exit_status=-11)


async def test_a_model_is_loaded_when_it_is_asked_for() -> None:
    async with Room(served("a")) as room:
        assert room.state("a") is InstanceState.ABSENT
        granted = await room.ask("a")
        assert isinstance(granted, Granted)
        assert granted.chosen.reason == "it was asked for by name"
        assert room.state("a") is InstanceState.READY
        await wait_for_async(lambda: len(room.records.changes) == 3)
        assert [change.state.value for change in room.records.changes] == ["creating", "loading", "ready"]


async def test_an_engine_that_says_ready_and_does_not_answer_is_not_ready() -> None:
    async with Room(served("a")) as room:
        room.engines.of("a").wrong = "the answer was empty"
        waiting = asyncio.create_task(room.ask("a"))
        await room.until("a", InstanceState.LOADING)
        await wait_for_async(lambda: "empty" in room.keeper.roster.instances["a"].progress)
        room.engines.of("a").wrong = ""
        assert isinstance(await waiting, Granted)


async def test_many_who_want_the_same_cause_one_load() -> None:
    async with Room(served("a", slots=5)) as room:
        found = await asyncio.gather(*(room.ask("a") for _ in range(5)))
        assert all(isinstance(one, Granted) for one in found)
        assert room.engines.of("a").starts == 1


async def test_who_is_more_urgent_is_served_first() -> None:
    async with Room(served("a")) as room:
        first = await room.ask("a")
        assert isinstance(first, Granted)
        order: list[str] = []

        async def wait(name: str, priority: Priority) -> None:
            found = await room.ask("a", priority=priority)
            assert isinstance(found, Granted)
            order.append(name)
            room.keeper.release(found.lease)

        low = asyncio.create_task(wait("low", Priority.LOW))
        await asyncio.sleep(0)
        high = asyncio.create_task(wait("high", Priority.HIGH))
        await wait_for_async(lambda: room.keeper.waiting == 2)
        room.keeper.release(first.lease)
        await asyncio.gather(low, high)
        assert order == ["high", "low"]


async def test_two_that_do_not_fit_together_do_not_thrash() -> None:
    async with Room(served("a", 16), served("b", 16)) as room:
        first = await room.ask("a")
        assert isinstance(first, Granted)
        room.keeper.release(first.lease)
        news = room.listen("b", deadline=300.0)
        said = await anext(news)
        assert isinstance(said, Waiting)
        assert said.why == "evicting"
        room.advance(30)
        assert room.state("a") is InstanceState.READY
        room.advance(31)
        granted = await anext(news)
        while isinstance(granted, Waiting):
            granted = await anext(news)
        assert isinstance(granted, Granted)
        assert room.state("a") is InstanceState.ABSENT
        assert room.engines.of("a").stops == 1


async def test_requests_by_turns_for_two_that_do_not_fit_together_change_models_once_a_minute() -> None:
    """And each of them is answered: nobody is passed over for ever."""
    async with Room(served("a", 16), served("b", 16)) as room:
        answered: list[float] = []

        async def ask(model: str) -> None:
            began = room.clock.monotonic()
            granted = await room.ask(model, deadline=300.0)
            assert isinstance(granted, Granted), granted
            answered.append(room.clock.monotonic() - began)
            room.keeper.release(granted.lease)

        asking = []
        for second in range(300):
            asking.append(asyncio.create_task(ask("ab"[second % 2])))
            room.advance(1)
            for _ in range(20):
                await asyncio.sleep(0)
        loads = room.engines.of("a").starts + room.engines.of("b").starts
        assert 3 <= loads <= 6
        room.advance(61)
        await asyncio.gather(*asking)
        assert len(answered) == 300
        assert max(answered) <= 125


async def test_who_cannot_wait_so_long_is_told_at_once_with_the_numbers() -> None:
    async with Room(served("a", 16), served("b", 16)) as room:
        first = await room.ask("a")
        assert isinstance(first, Granted)
        room.keeper.release(first.lease)
        refused = await room.ask("b", deadline=5.0)
        assert isinstance(refused, RefusedLease)
        assert refused.code == "model.unavailable"
        assert "60 s more" in refused.message


async def test_what_never_fits_is_refused_with_the_numbers() -> None:
    async with Room(served("huge", 40)) as room:
        refused = await room.ask("huge")
        assert isinstance(refused, RefusedLease)
        assert "40.8 GiB" in refused.message


async def test_a_warm_lesser_model_answers_when_a_better_one_would_be_late() -> None:
    async with Room(served("better", 8), served("lesser", 4)) as room:
        room.keeper.roster.instances["better"].load_seconds = 90.0
        warm = await room.ask("lesser")
        assert isinstance(warm, Granted)
        room.keeper.release(warm.lease)
        found = await room.ask(deadline=10.0)
        assert isinstance(found, Granted)
        assert found.chosen.model == "lesser"
        assert found.chosen.rejected[0][0] == "better"
        assert "90 s" in found.chosen.rejected[0][1]


async def test_an_engine_killed_by_a_signal_rests_and_is_then_made_anew() -> None:
    async with Room(served("a")) as room:
        room.engines.of("a").readiness = KILLED
        refused = await room.ask("a", deadline=5.0)
        assert isinstance(refused, RefusedLease)
        assert "Segmentation fault" in refused.message
        room.engines.of("a").readiness = Readiness(Sign.READY)
        room.advance(20)
        assert isinstance(await room.ask("a"), Granted)
        assert room.engines.of("a").starts == 2


async def test_one_that_dies_again_and_again_is_left_alone_until_a_person_lets_it_out() -> None:
    async with Room(served("a")) as room:
        room.engines.of("a").readiness = KILLED
        waiting = asyncio.create_task(room.ask("a", deadline=3600.0))
        for _ in range(4):
            await room.until("a", InstanceState.FAILED)
            room.advance(400)
        assert isinstance(await waiting, RefusedLease)
        assert room.state("a") is InstanceState.QUARANTINED
        refused = await room.ask("a")
        assert isinstance(refused, RefusedLease)
        assert "quarantine" in refused.message
        assert room.engines.of("a").starts == 5
        room.engines.of("a").readiness = Readiness(Sign.READY)
        room.keeper.roster.free("a")
        assert isinstance(await room.ask("a"), Granted)


async def test_a_load_without_progress_has_failed_and_one_that_gets_on_has_not() -> None:
    async with Room(served("a")) as room:
        room.engines.of("a").readiness = LOADING
        waiting = asyncio.create_task(room.ask("a", deadline=3000.0))
        await wait_for_async(lambda: room.keeper.roster.instances["a"].progress == "weights 10 %")
        room.clock.advance(timedelta(seconds=200))
        room.engines.of("a").readiness = Readiness(Sign.LOADING, "weights 20 %")
        await wait_for_async(lambda: room.keeper.roster.instances["a"].progress == "weights 20 %")
        room.clock.advance(timedelta(seconds=200))
        await asyncio.sleep(0)
        assert room.state("a") is InstanceState.LOADING
        room.clock.advance(timedelta(seconds=101))
        await room.until("a", InstanceState.FAILED)
        assert "no progress for 300 s" in room.keeper.roster.instances["a"].reason
        waiting.cancel()


async def test_an_engine_that_goes_silent_in_an_answer_is_made_anew() -> None:
    async with Room(served("a"), silence=60.0) as room:
        granted = await room.ask("a")
        assert isinstance(granted, Granted)
        room.advance(50)
        room.keeper.beat(granted.lease, Beat(tokens=3))
        room.advance(50)
        assert room.state("a") is InstanceState.READY
        room.advance(11)
        await room.until("a", InstanceState.FAILED)
        assert "no token for 60 s" in room.keeper.roster.instances["a"].reason


async def test_three_failed_answers_in_a_row_make_it_anew_and_a_good_one_forgives() -> None:
    async with Room(served("a")) as room:
        granted = await room.ask("a")
        assert isinstance(granted, Granted)
        for _ in range(2):
            room.keeper.beat(granted.lease, Beat(tokens=0, failed="the stream was cut"))
        room.keeper.beat(granted.lease, Beat(tokens=9, done=True))
        for _ in range(2):
            room.keeper.beat(granted.lease, Beat(tokens=0, failed="the stream was cut"))
        assert room.state("a") is InstanceState.READY
        room.keeper.beat(granted.lease, Beat(tokens=0, failed="the stream was cut"))
        await room.until("a", InstanceState.FAILED)


async def test_what_nobody_uses_goes_after_its_time_and_what_is_pinned_stays() -> None:
    async with Room(served("a", keep_alive=600.0), served("p", keep_alive=None)) as room:
        for name in ("a", "p"):
            granted = await room.ask(name)
            assert isinstance(granted, Granted)
            room.keeper.release(granted.lease)
        room.advance(599)
        assert room.state("a") is InstanceState.READY
        room.advance(2)
        await room.until("a", InstanceState.ABSENT)
        assert room.state("p") is InstanceState.READY


async def test_a_request_under_way_ends_before_its_model_goes() -> None:
    async with Room(served("a")) as room:
        granted = await room.ask("a")
        assert isinstance(granted, Granted)
        room.keeper.roster.drain("a", "a person said so")
        assert room.state("a") is InstanceState.DRAINING
        assert room.engines.of("a").stops == 0
        room.keeper.release(granted.lease)
        await room.until("a", InstanceState.ABSENT)
        assert room.engines.of("a").stops == 1


async def test_who_stops_listening_leaves_the_line() -> None:
    async with Room(served("a")) as room:
        first = await room.ask("a")
        assert isinstance(first, Granted)
        news = room.listen("a")
        await anext(news)
        assert room.keeper.waiting == 1
        await news.aclose()
        assert room.keeper.waiting == 0


async def test_a_deadline_that_passes_is_said() -> None:
    async with Room(served("a")) as room:
        first = await room.ask("a")
        assert isinstance(first, Granted)
        waiting = asyncio.create_task(room.ask("a", deadline=10.0))
        await wait_for_async(lambda: room.keeper.waiting == 1)
        room.advance(11)
        refused = await waiting
        assert isinstance(refused, RefusedLease)
        assert refused.code == "model.busy"


async def test_one_program_does_not_fill_the_line() -> None:
    async with Room(served("a")) as room:
        first = await room.ask("a")
        assert isinstance(first, Granted)
        tasks = [asyncio.create_task(room.ask("a", principal="token:ana/loop")) for _ in range(128)]
        await wait_for_async(lambda: room.keeper.waiting == 128)
        refused = await room.ask("a", principal="token:ana/loop")
        assert isinstance(refused, RefusedLease)
        assert refused.retry_after
        other = asyncio.create_task(room.ask("a", principal="user:ben"))
        await wait_for_async(lambda: room.keeper.waiting == 129)
        for task in (*tasks, other):
            task.cancel()


async def test_a_request_that_is_too_long_or_needs_what_it_cannot_is_refused() -> None:
    async with Room(served("a")) as room:
        long = await room.ask("a", tokens=5000)
        assert isinstance(long, RefusedLease)
        assert "4096" in long.message
        seeing = await room.ask("a", needs=frozenset({"vision"}))
        assert isinstance(seeing, RefusedLease)
        assert "vision" in seeing.message


async def test_another_version_drains_the_one_before() -> None:
    async with Room(served("a")) as room:
        granted = await room.ask("a")
        assert isinstance(granted, Granted)
        room.shelf.models = [served("a", 5)]
        await room.keeper.refresh()
        assert room.state("a") is InstanceState.DRAINING
        room.keeper.release(granted.lease)
        await room.until("a", InstanceState.ABSENT)
        await room.keeper.refresh()
        again = await room.ask("a")
        assert isinstance(again, Granted)
        assert room.keeper.roster.instances["a"].served.manifest.size == 5 * GIB


async def test_what_is_pinned_is_loaded_before_anybody_asks_and_again_when_it_died() -> None:
    async with Room(served("p", keep_alive=None)) as room:
        await room.until("p", InstanceState.READY)
        room.engines.of("p").readiness = KILLED
        room.keeper.roster.fail(room.keeper.roster.instances["p"], End("killed", -9))
        await room.until("p", InstanceState.FAILED)
        room.engines.of("p").readiness = Readiness(Sign.READY)
        room.advance(20)
        await room.until("p", InstanceState.READY)
        assert room.engines.of("p").starts == 2
