"""The outbound half of a client: what may be published, how long to wait, how often to try."""

import asyncio

from appliance.bus.connection import Connection
from appliance.bus.errors import BusAway, BusError, ConnectionLost, PayloadTooLarge
from appliance.bus.topics import check_topic

_SENDS = 2
"""How often one publish goes to the wire: twice, because the broker may just have restarted; not more,
because it may be this very message that ends the connection."""


class Outgoing:
    """``connected`` is set while ``connection`` can be used; the client looks after both."""

    def __init__(self, *, max_payload: int, at_once: int) -> None:
        self._max_payload = max_payload
        self._slots = asyncio.Semaphore(at_once)
        self.connection: Connection | None = None
        self.connected = asyncio.Event()
        self.published = 0

    async def publish(
        self, topic: str, payload: bytes, *, qos: int, retain: bool, timeout: float, wait: bool
    ) -> None:
        """As `BusClient.publish`."""
        check_topic(topic)
        if len(payload) > self._max_payload:
            raise PayloadTooLarge(
                f"a payload of {len(payload)} bytes on {topic}", hint=f"at most {self._max_payload}"
            )
        if qos not in (0, 1):
            raise BusError(f"QoS {qos} is not supported", hint="0, or 1: at least once")
        if not wait and not self.connected.is_set():
            raise BusAway("the broker is not connected")
        try:
            async with asyncio.timeout(timeout), self._slots:
                await self._send(topic, payload, qos, retain)
        except TimeoutError as error:
            raise BusAway(f"the broker did not confirm {topic} within {timeout:g} s") from error
        self.published += 1

    async def _send(self, topic: str, payload: bytes, qos: int, retain: bool) -> None:
        for attempt in range(1, _SENDS + 1):
            await self.connected.wait()
            assert self.connection is not None
            try:
                return await self.connection.publish(topic, payload, qos, retain)
            except ConnectionLost:
                if attempt == _SENDS:
                    raise
        return None
