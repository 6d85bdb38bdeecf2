"""Plays a line over real MQTT: publishes its readings, obeys the commands that come in."""

import asyncio
import logging

from appliance.bus.client import BusClient
from appliance.bus.errors import BusAway
from appliance.bus.ports import Delivery
from appliance.devices.simulator import Line, Publication
from appliance.lib.clock import Clock, SystemClock

log = logging.getLogger(__name__)


class Simulation:
    """One line on one broker. ``rate`` is readings of each pump a second."""

    def __init__(
        self,
        url: str,
        line: Line,
        *,
        rate: float = 1.0,
        client_id: str = "simulator",
        clock: Clock | None = None,
    ) -> None:
        self.line = line
        self._clock = clock or SystemClock()
        self._pause = 1.0 / max(rate, 0.01)
        self._bus = BusClient(
            url, client_id, clean=True, on_batch=self._commanded, on_connected=self._announce
        )
        self.published = 0

    async def run(self, seconds: float | None = None) -> None:
        """Play for ``seconds``, or until cancelled. Raises BusAway if the broker does not answer at first."""
        await self._bus.set_filters({self.line.command_filter})
        await self._bus.start()
        try:
            await self._bus.wait_connected(10)
            loop = asyncio.get_running_loop()
            began = last = due = loop.time()
            while seconds is None or loop.time() - began < seconds:
                now = loop.time()
                changed = self.line.advance(now - last)
                last = now
                stamp = self._clock.now()
                states = [self.line.state_of(name, stamp) for name in changed]
                await self._publish([*states, *self.line.readings(stamp)])
                due = max(due + self._pause, loop.time())
                await asyncio.sleep(due - loop.time())
        finally:
            await self._bus.stop()

    async def _announce(self) -> None:
        now = self._clock.now()
        await self._publish([self.line.state_of(name, now) for name in self.line.pumps])

    async def _commanded(self, deliveries: list[Delivery]) -> None:
        for delivery in deliveries:
            changed = self.line.command(delivery.message.topic, delivery.message.payload)
            delivery.ack()
            if changed:
                await self._publish([self.line.state_of(changed, self._clock.now())])

    async def _publish(self, publications: list[Publication]) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for one in publications:
                    group.create_task(self._bus.publish(one.topic, one.payload, retain=one.retain, timeout=5))
        except* BusAway as errors:
            log.warning("readings were lost: %s", errors.exceptions[0])  # a sensor does not store them either
        else:
            self.published += len(publications)
