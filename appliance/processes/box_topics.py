"""The box's own topics: ``millwright/<box>/status`` (retained, last will) and ``…/allstop``."""

import json
import logging
from collections.abc import Sequence
from datetime import datetime

from appliance.accounts.domain import Role
from appliance.accounts.principal import Principal
from appliance.bus.ports import Delivery, Publisher, Will
from appliance.lib.in_django import in_django
from appliance.safety.allstop import Level, engage

log = logging.getLogger(__name__)

BUS = Principal("mqtt", Role.OPERATOR)
"""Whoever may publish under ``millwright/<box>/``: no device can. They may stop, never release."""


class BoxTopics:
    """Says that the box is there, and takes orders to stop."""

    def __init__(self, box: str) -> None:
        self.status = f"millwright/{box}/status"
        self.allstop = f"millwright/{box}/allstop"

    @property
    def will(self) -> Will:
        return Will(self.status, json.dumps({"online": False}).encode(), qos=1, retain=True)

    async def announce(self, bus: Publisher) -> None:
        """Retained, so that whoever connects later sees it too."""
        await bus.publish(self.status, json.dumps({"online": True}).encode(), qos=1, retain=True, timeout=5)

    async def obey(self, deliveries: Sequence[Delivery], now: datetime) -> None:
        """Engage the all-stop for each order in the batch; a retained one is an old order, and counts as one."""
        for delivery in deliveries:
            message = delivery.message
            if message.topic != self.allstop or not message.payload.strip():
                continue
            level, reason = read_order(message.payload)
            log.warning("all-stop by MQTT: %s", level.value)
            await in_django(engage, level, reason or f"message on {message.topic}", BUS, now)


def read_order(payload: bytes) -> tuple[Level, str]:
    """The level and the reason of an order: ``freeze smoke at press 7``, or JSON with ``level`` and ``reason``.

    Whatever else it says means ``kill``: stopping must not fail. No order ever releases.
    """
    text = payload[:1000].decode("utf-8", "replace").strip()
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict):
        word, reason = str(found.get("level", "")), str(found.get("reason", ""))
    else:
        word, _, reason = text.partition(" ")
    known = word.lower() in set(Level) - {Level.NONE}
    return (Level(word.lower()), reason.strip()) if known else (Level.KILL, "" if found else text)
