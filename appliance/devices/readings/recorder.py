"""Keeps the history of readings: taken as messages come, written once a second, never waited for."""

import asyncio
import logging
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any

import msgspec
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from appliance.bus.places import place_of
from appliance.bus.ports import Message
from appliance.bus.topics import TopicTable
from appliance.bus.values import Content, Quality
from appliance.devices.readings import sql
from appliance.devices.readings.domain import Wanted, numbers_of
from appliance.lib.clock import Clock
from appliance.lib.partitions import partition_name

log = logging.getLogger(__name__)

MOST_SERIES = 2_000
"""Topics and paths that are recorded; what comes on more is counted, and left out."""
MOST_WAITING = 50_000
"""Samples that wait while the database is away."""
_KNOWN_TOPICS = 20_000
_NOTHING: tuple[str | None, ...] = ()
_write = msgspec.json.Encoder().encode

Key = tuple[str, str, int]
"""Place, path, second."""


class Sample(msgspec.Struct):
    """What one topic said in one second: the last value, the least and the greatest."""

    topic: str
    path: str
    at: datetime
    value: float
    low: float
    high: float

    def add(self, later: "Sample") -> None:
        self.at, self.value = later.at, later.value
        self.low, self.high = min(self.low, later.low), max(self.high, later.high)


class Recorder:
    """Lives in the reactor's loop. What nobody wants recorded costs one look into a dictionary.

    ``day_bytes``: when a day's readings are as large, the rest of that day is left out.
    """

    EVERY = 1.0
    LOOK_EVERY = 60.0

    def __init__(
        self, pool: AsyncConnectionPool[AsyncConnection[Any]], clock: Clock, *, day_bytes: int = 2**40
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._day_bytes = day_bytes
        self._tables: dict[str, TopicTable[str | None]] = {}
        self._paths: dict[str, tuple[str | None, ...]] = {}
        """By place: what is wanted of it, for the topics that were seen lately."""
        self._series: set[tuple[str, str]] = set()
        self._waiting: dict[Key, Sample] = {}
        self._writing = asyncio.Lock()
        self._full_on: date | None = None
        self.kept = 0
        self.left_out = 0
        """Samples for which there was no room: too many topics, or too long without a database, or a full day."""

    def want(self, wanted: Iterable[Wanted]) -> None:
        """Record this, and nothing else."""
        tables: dict[str, TopicTable[str | None]] = {}
        for one in wanted:
            tables.setdefault(one.broker, TopicTable()).add(one.filter, one.path)
        self._tables = tables
        self._paths.clear()
        self._series.clear()

    def take(self, message: Message, content: Content) -> None:
        """Note what a message says. One that may be old (`Message.is_late`) says nothing of now."""
        if not self._tables:
            return
        place = place_of(message.broker, message.topic)
        paths = self._paths.get(place)
        if paths is None:
            paths = self._look_up(place, message)
        if paths and content.is_json and content.quality is Quality.GOOD and not message.is_late:
            self._note(place, paths, message.received_at, content)

    def _look_up(self, place: str, message: Message) -> tuple[str | None, ...]:
        table = self._tables.get(message.broker)
        found = tuple(path for path, _ in table.match(message.topic)) if table else _NOTHING
        if len(self._paths) >= _KNOWN_TOPICS:
            self._paths.clear()
        self._paths[place] = found
        return found

    def _note(self, place: str, paths: tuple[str | None, ...], at: datetime, content: Content) -> None:
        if self._full_on == at.date():
            self.left_out += 1
            return
        numbers = {name: number for path in paths for name, number in numbers_of(content.value, path)}
        for name, number in numbers.items():
            if self._has_room(place, name):
                self._add((place, name, int(at.timestamp())), Sample(place, name, at, number, number, number))
            else:
                self.left_out += 1

    def _has_room(self, place: str, path: str) -> bool:
        if (place, path) not in self._series:
            if len(self._series) >= MOST_SERIES:
                return False
            self._series.add((place, path))
        return True

    def _add(self, key: Key, sample: Sample) -> None:
        known = self._waiting.get(key)
        if known is not None:
            known.add(sample)
        elif len(self._waiting) < MOST_WAITING:
            self._waiting[key] = sample
        else:
            self.left_out += 1

    async def tick(self) -> None:
        """Write the seconds that are over."""
        await self._flush(before=int(self._clock.now().timestamp()))

    async def flush(self) -> None:
        """Write all that has come so far."""
        await self._flush(before=None)

    async def _flush(self, before: int | None) -> None:
        async with self._writing:
            ready = {key: one for key, one in self._waiting.items() if before is None or key[2] < before}
            if not ready:
                return
            for key in ready:
                del self._waiting[key]
            try:
                await self._keep(_write(list(ready.values())).decode())
            except BaseException:
                later, self._waiting = self._waiting, {}
                for waiting in (ready, later):
                    for key, sample in waiting.items():
                        self._add(key, sample)
                raise
            self.kept += len(ready)

    async def _keep(self, samples: str) -> None:
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute(sql.NOT_AT_ONCE)
            await connection.execute(sql.KEEP, (samples,))

    async def look(self) -> None:
        """Whether today has all the room that a day may have."""
        today = self._clock.now().astimezone(UTC).date()
        async with self._pool.connection() as connection:
            found = await connection.execute(sql.SIZE, (partition_name(sql.TABLE, today),))
            row = await found.fetchone()
        full = row is not None and row[0] >= self._day_bytes
        if full and self._full_on != today:
            log.warning("readings: today's have filled their room; no more are kept until tomorrow")
        self._full_on = today if full else None
