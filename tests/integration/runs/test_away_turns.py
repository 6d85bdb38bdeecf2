"""What else may come between those who wait for a target: a broker that is not there yet, a stop, a crash (P7)."""

import asyncio
from datetime import timedelta

from asgiref.sync import sync_to_async

from appliance.accounts.domain import Role
from appliance.accounts.principal import BOX, Principal
from appliance.bus.errors import BusAway
from appliance.runs.away import Lines
from appliance.safety import allstop
from appliance.safety.allstop import Level
from tests.integration.runs.conftest import Engine
from tests.integration.runs.test_away_lines import VALVE, Broker, broker, places, say, waiting, wake
from tests.wait import wait_for_async

__all__ = ["broker"]


async def test_where_the_broker_is_not_there_nothing_is_sent_and_the_run_stands_in_line_at_once(
    engine: Engine,
) -> None:
    """It does not wait in the act, where nobody sees it: a later one could be first when the broker is back."""

    async def nobody(patience: float) -> bool:
        assert patience == 0
        raise BusAway("not connected")

    engine.world.reaching = nobody
    run_id = await say(engine, "open")
    await engine.perform(run_id)
    assert await places(engine) == [(run_id, "mqtt:plant/a", False)]
    assert engine.world.published == []


async def test_what_would_be_ambiguous_is_not_where_nothing_was_sent(engine: Engine) -> None:
    async def nobody(patience: float) -> bool:
        raise BusAway("not connected")

    engine.world.reaching = nobody
    run_id = await say(engine, "open", text=VALVE.replace("id: say,", "id: say, effect: unsafe,"))
    await engine.perform(run_id)
    assert await engine.state(run_id) == "waiting:network"


async def test_a_stop_keeps_the_order_of_those_who_wait(engine: Engine, broker: Broker) -> None:
    first, second, third = await waiting(engine, "open", "close", "open again")
    await sync_to_async(allstop.engage)(Level.FREEZE, "smoke", BOX, engine.clock.now())
    await wake(engine, first)
    assert await engine.state(first) == "waiting:all_stop"
    # Nobody is sent after it, one by one, only to be stopped as well.
    assert await Lines(engine.pool).hand_on() == []
    await sync_to_async(allstop.release)("over", Principal("user:ana", Role.ADMIN), engine.clock.now())
    broker.up = True
    await wake(engine, third)
    await wake(engine, second)
    assert broker.done == []
    await wake(engine, first)
    await wait_for_async(lambda: len(broker.done) == 3, 10, "the line is done")
    assert broker.done == ["open", "close", "open again"]


async def test_too_late_says_that_it_may_have_acted_where_its_worker_was_killed(
    engine: Engine, broker: Broker
) -> None:
    broker.up = True
    run_id = await say(engine, "open", text=VALVE.replace("id: say,", "id: say, valid_for: 30s,"))
    worker = engine.worker()

    under_way = asyncio.Event()

    async def endless(topic: str, payload: bytes) -> None:
        under_way.set()
        await asyncio.Event().wait()

    engine.world.publishing = endless
    worker.attend(run_id)
    await under_way.wait()
    await engine.crash(worker)
    await engine.recover(run_id)
    engine.clock.advance(timedelta(seconds=31))
    row = await engine.perform(run_id)
    assert row["state"] == "failed"
    assert "too late" in row["reason"]
    assert "may have acted" in row["reason"]
