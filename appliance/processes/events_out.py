"""The box's events on MQTT: ``millwright/<box>/events/<type>``, in order, at a bounded rate.

It reads the journal from a position of its own, so that a broker that is slow or away holds up nobody else.
"""

import asyncio
import json
from datetime import timedelta
from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from appliance.bus.errors import BusAway, PayloadTooLarge
from appliance.bus.ports import Publisher
from appliance.events import OF_CONVERSATIONS, FeedMessage
from appliance.events.journal import CursorInvalid, Entry, Page
from appliance.events.services import current_cursor_async, read_after_async
from appliance.lib.clock import Clock
from appliance.lib.jsontypes import JsonObject

RATE = 100.0
"""Events a second that go out; a burst of ``BURST`` goes at once."""
BURST = 500.0
TOGETHER = 25
"""Events that go out at once while more wait than the rate allows: one by one each costs three turns of the loop."""
OLDEST = timedelta(minutes=1)
"""What could not go out for so long is left out, and counted: a mirror wants to know what is, not what was."""

_WORDS = frozenset({"text", "say", "why", "people"})
"""What people and agents say in conversations."""
_READ = "SELECT position FROM processes_follower WHERE name = 'mqtt'"
_WRITE = """
INSERT INTO processes_follower (name, position) VALUES ('mqtt', %s)
ON CONFLICT (name) DO UPDATE SET position = excluded.position
"""
_CHAINS = "SELECT id::text, inputs -> 'chain' FROM runs_run WHERE id = ANY(%s::uuid[])"


class EventsOut:
    """At least once: after a crash, the last page may come again with the same ``seq``."""

    EVERY = 0.5
    PAGE = 100

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection[Any]],
        bus: Publisher,
        box: str,
        clock: Clock,
        *,
        rate: float = RATE,
        burst: float = BURST,
    ) -> None:
        self._pool, self._bus, self._clock = pool, bus, clock
        self._root = f"millwright/{box}/events/"
        self._rate, self._burst = rate, burst
        self._tokens, self._filled = burst, clock.monotonic()
        self._unsaid = 0
        self.published = self.left_out = 0

    async def follow(self) -> None:
        """Publish everything that is new; returns when there is nothing more, or the broker is away."""
        while await self._page():
            pass

    async def _page(self) -> bool:
        async with self._pool.connection() as connection:
            page = await self._read(connection)
            chains = await _chains_of(connection, page.entries)
        entries, reached = list(page.entries), None
        try:
            while entries:
                here = await self._turn(entries)
                said, away = await self._say_together(entries[:here], chains)
                if said:
                    reached = entries[said - 1].cursor
                if away:
                    return False
                del entries[:here]
        finally:
            if reached is not None:
                async with self._pool.connection() as connection:
                    await connection.execute(_WRITE, (str(reached),))
        return page.more

    async def _say_together(self, entries: list[Entry], chains: dict[str, int]) -> tuple[int, bool]:
        """Publish in order, without waiting for one before the next is sent. How many are settled, from the first
        on, and whether the broker is away."""
        saying = [self._say(entry, chains) for entry in entries]
        outcomes = await asyncio.gather(*saying, return_exceptions=True)
        for number, outcome in enumerate(outcomes):
            if isinstance(outcome, BusAway):
                return number, True
            if isinstance(outcome, BaseException):
                raise outcome
        return len(entries), False

    def _is_old(self, entry: Entry) -> bool:
        return self._clock.now() - entry.at > OLDEST

    async def _say(self, entry: Entry, chains: dict[str, int]) -> None:
        if self._is_old(entry):
            self.left_out += 1
            self._unsaid += 1
            return
        body: JsonObject = {"seq": entry.cursor.seq, **entry.to_json(), "data": _public(entry)}
        chain = chains.get(str(entry.data.get("run_id")))
        if chain is not None:
            body["chain"] = chain
        if self._unsaid:
            body["left_out"] = self._unsaid
        payload = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        unsaid, self._unsaid = self._unsaid, 0
        try:
            await self._bus.publish(self._root + entry.type, payload, qos=1, retain=False, timeout=5)
        except PayloadTooLarge:
            self.left_out += 1
            self._unsaid += 1 + unsaid
            return
        except BusAway:
            self._unsaid += unsaid
            raise
        self.published += 1

    async def _turn(self, entries: list[Entry]) -> int:
        """Wait until the rate allows some more; how many of ``entries`` may be said now."""
        old = next((n for n, entry in enumerate(entries) if not self._is_old(entry)), len(entries))
        if old:
            return old
        missing = min(len(entries), TOGETHER, int(self._burst)) - self._fill()
        if missing > 0:
            await asyncio.sleep(missing / self._rate)
            self._fill()
        here = max(1, min(len(entries), int(self._tokens)))
        self._tokens -= here
        return here

    def _fill(self) -> float:
        now = self._clock.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._filled) * self._rate)
        self._filled = now
        return self._tokens

    async def _read(self, connection: AsyncConnection[Any]) -> Page:
        row = await (await connection.execute(_READ)).fetchone()
        if row is not None:
            try:
                return await read_after_async(connection, row[0], self.PAGE)
            except CursorInvalid:
                pass
        now = await current_cursor_async(connection)
        await connection.execute(_WRITE, (str(now),))
        return Page((), now, False)


def _public(entry: Entry) -> JsonObject:
    """The event's own fields; what people write to each other stays in the box."""
    if entry.type == FeedMessage.type or entry.type in OF_CONVERSATIONS:
        return {key: value for key, value in entry.data.items() if key not in _WORDS}
    return entry.data


async def _chains_of(connection: AsyncConnection[Any], entries: tuple[Entry, ...]) -> dict[str, int]:
    """How many runs started each other before the ones that these events tell of."""
    ids = {run for entry in entries if isinstance(run := entry.data.get("run_id"), str) and run}
    if not ids:
        return {}
    rows = await (await connection.execute(_CHAINS, (sorted(ids),))).fetchall()
    return {run: chain if isinstance(chain, int) else 0 for run, chain in rows}
