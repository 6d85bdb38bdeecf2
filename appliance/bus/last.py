"""The last values as this process has seen them: what ``state()`` in a trigger's ``when`` reads, without a query."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from psycopg import AsyncConnection

from appliance.bus.places import place_of
from appliance.bus.ports import Message
from appliance.bus.values import Content, Quality
from appliance.lib.jsontypes import JsonValue

MOST = 10_000
_LOAD = "SELECT topic, value, at FROM bus_topicvalue WHERE quality = %s LIMIT %s"


class LastValues:
    """Bounded; filled from the table at start, then from the messages in their order."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[JsonValue, datetime]] = {}

    async def load(self, connection: AsyncConnection[Any]) -> None:
        cursor = await connection.execute(_LOAD, (Quality.GOOD.value, MOST))
        self._known = {topic: (value, at) for topic, value, at in await cursor.fetchall()}

    def take(self, message: Message, content: Content) -> None:
        """Remember what one message said; a topic whose value cannot be read has none."""
        place = place_of(message.broker, message.topic)
        if content.quality is not Quality.GOOD or content.document is None:
            self._known.pop(place, None)
        elif place in self._known or len(self._known) < MOST:
            self._known[place] = (content.value, message.received_at)

    def reader(self, now: datetime) -> Callable[[str, timedelta | None], JsonValue]:
        """``state(topic, max_age)`` as of ``now``: none where nothing is known, or nothing recent enough."""

        def read(topic: str, max_age: timedelta | None) -> JsonValue:
            value, at = self._known.get(topic, (None, now))
            # A value from the future is from before the clock was set back: its age is not known.
            return None if max_age is not None and abs(now - at) > max_age else value

        return read
