"""What the keeper shows of itself, and the switch that forbids real models."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils.translation import override

from appliance.inference.backends.contract import Footprint, Readiness, Running, Sign
from appliance.inference.domain import EngineKind, InstanceState
from appliance.inference.errors import ModelUnavailable
from appliance.inference.hardware.domain import MemoryKind
from appliance.inference.leases import ANSWER, Beat, Decided, Granted, Order, Outcome, RefusedLease, Verb
from appliance.inference.scheduling.barring import SENTENCE, Barring, barring
from appliance.inference.scheduling.keeper import Keeper
from appliance.inference.scheduling.pace import WINDOW, Pace
from appliance.lib.priority import Priority
from tests.engine_room import Room, served
from tests.wait import wait_for_async
from webadmin.sentences import kept


def decided(room: Room) -> list[Decided]:
    """The oldest first."""
    return list(reversed(room.keeper.view().decisions))


async def test_each_decision_is_shown_with_its_reason() -> None:
    async with Room(served("better", 8), served("lesser", 4), served("huge", 40)) as room:
        room.keeper.roster.instances["better"].load_seconds = 90.0
        warm = await room.ask("lesser")
        assert isinstance(warm, Granted)
        room.keeper.release(warm.lease)
        second = await room.ask(deadline=10.0)
        assert isinstance(second, Granted)
        assert isinstance(await room.ask("huge", principal="token:ben/bot"), RefusedLease)
        waited, granted, fell_back, refused = decided(room)
    assert (waited.outcome, waited.reason, waited.model) == (Outcome.WAITED, "loading", "lesser")
    assert (granted.outcome, granted.principal) == (Outcome.GRANTED, "user:ana")
    assert granted.reason == "it was asked for by name"
    assert (fell_back.outcome, fell_back.model) == (Outcome.FELL_BACK, "lesser")
    assert fell_back.rejected[0][0] == "better"
    assert "90 s" in fell_back.rejected[0][1]
    assert (refused.outcome, refused.principal) == (Outcome.REFUSED, "token:ben/bot")
    assert "40.8 GiB" in dict(refused.rejected)["huge"]


async def test_the_same_decision_again_is_counted_and_does_not_push_out_the_others() -> None:
    async with Room(served("a", slots=8), served("b")) as room:
        assert isinstance(await room.ask("b"), Granted)
        for _ in range(8):
            assert isinstance(await room.ask("a"), Granted)
        granted = {one.model: one.times for one in decided(room) if one.outcome is Outcome.GRANTED}
    assert granted == {"a": 8, "b": 1}


async def test_an_eviction_is_a_decision_and_says_for_whom() -> None:
    async with Room(served("a", 16), served("b", 16)) as room:
        first = await room.ask("a")
        assert isinstance(first, Granted)
        room.keeper.release(first.lease)
        room.advance(61)
        assert isinstance(await room.ask("b", deadline=300.0), Granted)
        (evicted,) = [one for one in decided(room) if one.outcome is Outcome.EVICTED]
    assert (evicted.model, evicted.reason) == ("a", "b needs the memory")


async def test_the_queue_says_who_waits_for_what_how_long_and_until_when() -> None:
    async with Room(served("a")) as room:
        first = await room.ask("a")
        assert isinstance(first, Granted)
        urgent = asyncio.create_task(room.ask("a", deadline=100.0, priority=Priority.HIGH))
        later = asyncio.create_task(room.ask("a", principal="user:ben"))
        await wait_for_async(lambda: [one.why for one in room.keeper.view().queue] == ["queued"] * 2)
        room.clock.advance(timedelta(seconds=30))
        view = room.keeper.view()
        assert ANSWER.validate_json(view.model_dump_json()) == view
        assert [one.principal for one in view.queue] == ["user:ana", "user:ben"]
        assert (view.queue[0].wanted, view.queue[0].waited, view.queue[0].left) == ("a", 30.0, 70.0)
        for task in (urgent, later):
            task.cancel()


def test_speed_is_that_of_the_last_seconds_and_of_the_last_answer() -> None:
    pace = Pace()
    assert (pace.now(0.0), pace.last) == (0.0, None)
    for second in range(20):
        pace.add(30, float(second))
    assert pace.now(19.0) == pytest.approx(33.0, abs=4)
    pace.add(-5, 19.0)
    pace.ended(600, 20.0)
    pace.ended(0, 1.0)
    assert pace.last == 30.0
    assert pace.now(19.0 + WINDOW + 1) == 0.0


async def test_beats_of_leases_give_the_speed() -> None:
    async with Room(served("a")) as room:
        granted = await room.ask("a")
        assert isinstance(granted, Granted)
        for tokens in (20, 40, 60):
            room.clock.advance(timedelta(seconds=1))
            room.keeper.beat(granted.lease, Beat(tokens=tokens))
        assert room.keeper.view().models[0].tokens_per_second == 6.0
        room.keeper.beat(granted.lease, Beat(tokens=90, done=True))
        assert room.keeper.view().models[0].last_speed == 30.0


async def test_memory_of_a_device_that_shares_the_machines_is_shown_once() -> None:
    room = Room(served("a", 16))
    (gpu,) = room.hardware.accelerators
    shared = replace(gpu, memory_kind=MemoryKind.UNIFIED, memory_total=None, memory_used=None)
    room.hardware = replace(room.hardware, accelerators=(shared,))
    async with room:
        assert isinstance(await room.ask("a"), Granted)
        (space,) = room.keeper.view().spaces
    assert (space.device, space.total >> 30) == ("", 64)
    assert space.free >> 30 == 41  # 64 without a tenth and without the 16 of the model


def barred(*models: str, refused: bool = True) -> Barring:
    return barring(refused=refused, standins=frozenset(models))


def behind(room: Room, switch: Barring) -> Room:
    """The same room, with a keeper that goes by the switch."""
    room.keeper = Keeper(
        room.shelf,
        room.records,
        {EngineKind.LLAMACPP: room.engines},
        room._hardware,
        room.engines,
        room.clock,
        bar=switch.bar,
        barred=switch.said,
    )
    return room


async def test_where_real_models_are_refused_only_a_stand_in_is_given_to_anybody() -> None:
    real, played = served("real", keep_alive=None), served("played", slots=2)
    async with behind(Room(real, played), barred("played")) as room:
        refused = await room.ask("real")
        assert isinstance(refused, RefusedLease)
        assert "MILLWRIGHT_MODELS=refused" in refused.message
        with pytest.raises(ModelUnavailable, match="no stand-in"):
            room.keeper.obey(Order(verb=Verb.LOAD, model="real", principal="user:eve"))
        room.keeper.look()
        assert isinstance(await room.ask("played"), Granted)
        chosen = await room.ask()
        assert isinstance(chosen, Granted)
        assert (chosen.chosen.model, chosen.chosen.rejected[0][0]) == ("played", "real")
        view = room.keeper.view()
    assert room.engines.of("real").starts == 0
    assert view.barred == SENTENCE
    assert [bool(one.barred) for one in view.models] == [True, False]


async def test_a_real_engine_of_an_earlier_life_is_ended_where_it_is_refused() -> None:
    room = Room(served("real"))
    one = room.shelf.models[0]
    plan = room.engines.plan(one.manifest, one.folder, one.profile, room.hardware, Footprint(0, 0))
    room.engines.left = [Running("real", 3, "http://127.0.0.1:3", "3", room.clock.now(), plan=plan.digest)]
    async with behind(room, barred()):
        await wait_for_async(lambda: room.engines.of("real").stops == 1)
        assert room.state("real") is InstanceState.ABSENT


async def test_without_the_switch_every_model_is_given() -> None:
    async with behind(Room(served("real")), barred(refused=False)) as room:
        assert isinstance(await room.ask("real"), Granted)
        assert room.keeper.view().barred == ""


async def test_where_the_box_goes_down_engines_end_and_else_they_go_on() -> None:
    async with Room(served("a")) as room:
        assert isinstance(await room.ask("a"), Granted)
    assert room.engines.of("a").stops == 0
    await room.keeper.roster.close(keep=False)
    assert room.engines.of("a").stops == 1
    assert room.state("a") is InstanceState.ABSENT
    assert room.records.changes[-1].reason == "the box is stopped"


async def test_what_the_keeper_says_is_known_again_in_chinese() -> None:
    async with Room(served("a", 16), served("b", 16), served("huge", 40), silence=60.0) as room:
        room.engines.of("b").readiness = Readiness(Sign.GONE, reason="x", exit_status=1)
        first = await room.ask("a", needs=frozenset({"tools"}))
        assert isinstance(first, Granted)
        await room.ask("huge")
        await room.ask("a", tokens=5000)
        late = asyncio.create_task(room.ask("b", deadline=5.0))
        await wait_for_async(lambda: room.keeper.waiting == 1)
        room.advance(61)
        assert isinstance(await late, RefusedLease)
        await room.until("a", InstanceState.FAILED)
        said = {one.reason for one in decided(room) if one.outcome is not Outcome.WAITED}
        said |= {why for one in decided(room) for _, why in one.rejected}
        said |= {change.reason for change in room.records.changes}
    assert len(said) > 8
    with override("zh-hans"):
        unknown = {text for text in said if kept(text) == text}
    assert not unknown
