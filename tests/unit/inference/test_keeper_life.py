"""What the keeper does at its beginning, and when everything is stopped."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from appliance.inference.backends.contract import Footprint, Running
from appliance.inference.backends.registry import backends, factory_of
from appliance.inference.domain import EngineKind, InstanceState
from appliance.inference.errors import EngineAbsent, ModelUnavailable
from appliance.inference.leases import Granted, Order, RefusedLease, Verb
from tests.engine_room import Room, served
from tests.wait import wait_for_async

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def running(room: Room, name: str, generation: int, plan: str | None = None) -> Running:
    """An engine of an earlier life, made from the plan that would be made now, or from another."""
    one = next(one for one in room.shelf.models if one.name == name)
    made = room.engines.plan(one.manifest, one.folder, one.profile, room.hardware, Footprint(0, 0))
    url = f"http://127.0.0.1:{generation}"
    return Running(name, generation, url, str(generation), NOW, plan=made.digest if plan is None else plan)


@pytest.mark.asyncio
async def test_an_engine_that_would_be_made_the_same_way_is_taken_over_and_all_others_end() -> None:
    room = Room(served("a"), served("b"))
    room.engines.left = [
        running(room, "a", 3),
        running(room, "a", 7),
        running(room, "b", 5, plan="of another context"),
        running(room, "b", 6, plan=""),
    ]
    async with room:
        await room.until("a", InstanceState.READY)
        granted = await room.ask("a")
        assert isinstance(granted, Granted)
        assert granted.generation == 7
        assert room.engines.of("a").starts == 0
        assert room.engines.of("a").stops == 1
        assert room.engines.of("b").stops == 2
        assert room.state("b") is InstanceState.ABSENT


@pytest.mark.asyncio
async def test_while_the_stop_stands_nothing_is_at_work_and_afterwards_nothing_has_failed() -> None:
    async with Room(served("a"), replace(served("b"), keep_alive=None)) as room:
        granted = await room.ask("a")
        assert isinstance(granted, Granted)
        room.stopped = "the all-stop stands at kill"
        room.keeper.look()
        await room.until("a", InstanceState.ABSENT)
        await room.until("b", InstanceState.ABSENT)
        assert room.keeper.roster.instances["a"].held == {}
        refused = await room.ask("a")
        assert isinstance(refused, RefusedLease)
        assert "all-stop" in refused.message
        with pytest.raises(ModelUnavailable, match="all-stop"):
            room.keeper.obey(Order(verb=Verb.LOAD, model="a", principal="user:eve"))
        room.stopped = ""
        assert isinstance(await room.ask("a"), Granted)
        await wait_for_async(lambda: room.state("b") is InstanceState.READY)
        assert room.keeper.roster.failures.total() == 0


def test_backends_are_found_by_being_there() -> None:
    assert backends()[EngineKind.LLAMACPP].title == "llama.cpp"
    assert factory_of(EngineKind.LLAMACPP) is backends()[EngineKind.LLAMACPP]
    missing = next((kind for kind in EngineKind if kind not in backends()), None)
    if missing is not None:
        with pytest.raises(EngineAbsent, match="known: "):
            factory_of(missing)
