"""Runs that wait in the air for their broker, and those of the same moment: nobody overtakes one that gave up (P7)."""

import asyncio
import json

from asgiref.sync import sync_to_async

from appliance.accounts.principal import BOX
from appliance.bus.errors import BusAway
from appliance.runs.away_sql import FEW
from appliance.runs.reflex.line import NO_LINES, Known
from appliance.safety import allstop
from appliance.safety.allstop import Level
from tests.integration.runs.conftest import Engine
from tests.integration.runs.reflex.conftest import MakeReactor, letter
from tests.integration.runs.reflex.test_reflex_away import VALVE, Broker, runs
from tests.wait import wait_for_async


async def test_one_that_waits_in_the_air_goes_behind_one_that_gave_up(
    engine: Engine, reactor: MakeReactor
) -> None:
    broker = Broker(engine)
    calls: list[asyncio.Future[bool]] = []

    async def reach(patience: float) -> bool:
        assert patience == 10
        calls.append(asyncio.get_running_loop().create_future())
        return await calls[-1]

    engine.world.reaching = reach
    here = await reactor(VALVE)
    await here.deliver(letter("in/a", "open"))
    await here.deliver(letter("in/a", "close"), letter("in/b", "other"))
    await wait_for_async(lambda: len(calls) == 3, 10, "all of them wait for the broker")
    calls[0].set_exception(BusAway("not connected"))
    await wait_for_async(lambda: here.lane.aloft == 2, 10, "the first has landed")
    broker.up = True
    for call in calls[1:]:
        call.set_result(True)
    await here.settle()
    assert broker.done == ["other"]
    assert [state for _, state in await runs(engine)] == ["waiting:network", "queued:", "succeeded:"]


async def test_a_stop_that_comes_while_it_waits_in_the_air_holds_it(
    engine: Engine, reactor: MakeReactor
) -> None:
    broker = Broker(engine)
    broker.up = True
    there: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def reach(patience: float) -> bool:
        return await there

    engine.world.reaching = reach
    here = await reactor(VALVE)
    await here.deliver(letter("in/a", "open"))
    await sync_to_async(allstop.engage)(Level.FREEZE, "smoke", BOX, engine.clock.now())
    await here.deliver(letter("in/b", "other"))  # whose commit sees the switch
    there.set_result(True)
    await here.settle()
    assert broker.done == []
    assert [state for _, state in await runs(engine)] == ["queued:", "queued:"]


async def test_one_of_the_same_commit_does_not_overtake_one_that_has_just_found_the_broker_away(
    engine: Engine, reactor: MakeReactor
) -> None:
    broker = Broker(engine)
    asked: list[float] = []

    async def reach(patience: float) -> bool:
        asked.append(patience)
        if len(asked) == 1:
            raise BusAway("not connected")
        broker.up = True
        return False

    engine.world.reaching = reach
    here = await reactor(VALVE)
    await here.deliver(letter("in/a", "open"), letter("in/a", "close"), letter("in/b", "other"))
    await here.settle()
    assert broker.done == ["other"]
    assert [state for _, state in await runs(engine)] == ["waiting:network", "queued:", "succeeded:"]


async def test_the_commit_that_writes_a_place_knows_of_it(engine: Engine, reactor: MakeReactor) -> None:
    """Its statement does not see what it writes itself."""
    here = await reactor(VALVE)
    Broker(engine)
    await here.deliver(letter("in/a", "open"))
    await here.settle()
    assert here.lane.lines == Known(frozenset({"mqtt:plant/a"}))


async def test_only_those_are_asked_about_whose_target_is_away(engine: Engine, reactor: MakeReactor) -> None:
    broker = Broker(engine)
    here = await reactor(VALVE)
    await here.deliver(letter("in/a", "open"))
    await here.settle()
    broker.up = True
    await here.deliver(letter("in/b", "first"))
    await here.settle()
    before = engine.pool.get_stats().get("requests_num", 0)
    await here.deliver(letter("in/b", "close"))
    await here.settle()
    assert engine.pool.get_stats().get("requests_num", 0) == before
    assert broker.done == ["first", "close"]


async def test_of_many_targets_only_that_they_are_many_is_known(engine: Engine, reactor: MakeReactor) -> None:
    broker = Broker(engine)
    here = await reactor(VALVE)
    await here.deliver(*(letter(f"in/v{n}", "open") for n in range(FEW + 1)))
    await here.settle()
    broker.up = True
    for word in ("close", "close again"):
        await here.deliver(letter("in/v3", word), letter("in/x", word))
        await here.settle()
    assert here.lane.lines.targets is None
    assert broker.done == ["close", "close again"]


def test_lines_as_a_commit_gives_them() -> None:
    assert Known.of(None, None) is NO_LINES
    assert Known.of(["a"], json.dumps([{"run_id": "1", "target": "b"}])) == Known(frozenset({"a", "b"}))
    assert Known.of([f"{n}" for n in range(FEW + 1)], None).targets is None
