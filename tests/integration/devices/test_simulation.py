"""The simulated line on a real broker."""

import asyncio
import json

from appliance.devices.simulation import Simulation
from appliance.devices.simulator import Line
from appliance.lib.config import Config
from tests.brokers import Nats
from tests.desk import Desk, Inbox
from tests.wait import wait_for_async


async def test_the_line_speaks_and_obeys_over_mqtt(box: tuple[Nats, Config]) -> None:
    broker, _ = box
    line = Line.of(2, seed=1, hot=True)
    simulation = Simulation(broker.url, line, rate=20)
    async with Desk(broker.url) as desk:
        inbox = Inbox()
        await desk.client("reader", inbox=inbox, filters={"plant/#"})
        playing = asyncio.create_task(simulation.run(30))
        topics = {f"plant/line1/pump/p{n}/{what}" for n in (1, 2) for what in ("temp", "vibration", "state")}
        await wait_for_async(lambda: topics <= {d.message.topic for d in inbox.deliveries})
        operator = await desk.client("operator", clean=True)
        await operator.publish("plant/line1/pump/p2/cmd", b'{"running": false}')

        def stopped() -> bool:
            states = [d.message for d in inbox.deliveries if d.message.topic == "plant/line1/pump/p2/state"]
            return json.loads(states[-1].payload)["running"] is False

        await wait_for_async(stopped)
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)
        assert simulation.published > 0


async def test_it_ends_by_itself(box: tuple[Nats, Config]) -> None:
    broker, _ = box
    simulation = Simulation(broker.url, Line.of(1, seed=1), rate=50)
    async with asyncio.timeout(10):
        await simulation.run(0.3)
    assert simulation.published >= 4
