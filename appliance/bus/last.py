"""The last values as this process has seen them: what ``state()`` in a trigger's ``when`` reads, without a query."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from psycopg import AsyncConnection

from appliance.bus.places import place_of
from appliance.bus.ports import Message
from appliance.bus.values import HEAD_BYTES, Content, Quality, is_repetition
from appliance.lib.jsontypes import JsonValue

MOST = 10_000
_LOAD = """
SELECT topic, value, CASE WHEN age_known THEN at END, CASE WHEN size <= %s THEN payload END
FROM bus_topicvalue WHERE quality = %s LIMIT %s
"""


class LastValues:
    """Bounded; filled from the table at start, then from the messages in their order."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[JsonValue, datetime | None, bytes | None]] = {}
        """The value; when it was said, if that is known; the payload, if it is short enough to be compared."""

    async def load(self, connection: AsyncConnection[Any]) -> None:
        cursor = await connection.execute(_LOAD, (HEAD_BYTES, Quality.GOOD.value, MOST))
        self._known = {topic: (value, at, said) for topic, value, at, said in await cursor.fetchall()}

    def take(self, message: Message, content: Content) -> None:
        """Remember what one message said; a topic whose value cannot be read has none."""
        place = place_of(message.broker, message.topic)
        if content.quality is not Quality.GOOD or content.document is None:
            self._known.pop(place, None)
        elif place in self._known or len(self._known) < MOST:
            self._keep(place, message, content.value)

    def _keep(self, place: str, message: Message, value: JsonValue) -> None:
        payload, known = message.payload, self._known.get(place)
        if known is None or not is_repetition(message.retain, payload, known[2]):
            at = None if message.retain else message.received_at
            self._known[place] = (value, at, payload if len(payload) <= HEAD_BYTES else None)

    def reader(self, now: datetime) -> Callable[[str, timedelta | None], JsonValue]:
        """``state(topic, max_age)`` as of ``now``: none where nothing is known, or nothing recent enough."""

        def read(topic: str, max_age: timedelta | None) -> JsonValue:
            value, at, _ = self._known.get(topic, (None, now, None))
            # A value from the future is from before the clock was set back: its age is not known.
            return None if max_age is not None and (at is None or abs(now - at) > max_age) else value

        return read
