"""The newest signed head of the audit record on MQTT: ``millwright/<box>/audit/head``, retained, once a day.

Who takes the whole box over can write the record and its heads anew. Whoever has an earlier head, off the box, sees it.
"""

import logging

from appliance.audit.services import newest_signed_head
from appliance.bus.errors import BusError
from appliance.bus.ports import Publisher
from appliance.lib.clock import Clock
from appliance.processes.in_django import in_django

log = logging.getLogger(__name__)

DAY = 24 * 3600.0


class HeadOut:
    """Says it when the box starts, then each day; while the broker is away, as soon as it is back."""

    EVERY = 60.0

    def __init__(self, bus: Publisher, box: str, clock: Clock) -> None:
        self._bus, self._clock = bus, clock
        self.topic = f"millwright/{box}/audit/head"
        self._said_at: float | None = None

    async def tick(self) -> None:
        now = self._clock.monotonic()
        if self._said_at is not None and now - self._said_at < DAY:
            return
        head = await in_django(newest_signed_head)
        if head is None:
            return  # nothing was signed yet
        try:
            # The very line of audit/heads.jsonl, so that one can look for it there.
            await self._bus.publish(self.topic, head.line().rstrip(), qos=1, retain=True, timeout=5)
        except BusError as error:
            log.info("the signed head was not published: %s", error)
            return
        self._said_at = now
