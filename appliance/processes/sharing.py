"""Syncs kept values with other boxes: in the reactor, at each peer's own pace, at once when the network is back."""

import asyncio
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connections
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from appliance.cache.exchange import sync_now
from appliance.cache.models import CachePeer
from appliance.cache.services import prune
from appliance.events import NetworkRecovered
from appliance.events.journal import Cursor, CursorInvalid
from appliance.events.services import current_cursor_async, read_types_after_async
from appliance.lib.backoff import delay
from appliance.lib.clock import Clock
from appliance.lib.errors import MillwrightError
from appliance.lib.in_django import in_django
from appliance.safety.allstop import Level, current

log = logging.getLogger(__name__)

LONGEST_PAUSE = 60.0
PRUNE_EVERY = timedelta(hours=6)


@dataclass
class _Pace:
    """When a peer's next round is due (monotonic), and the one under way."""

    due: float = 0.0
    away: bool = False
    round: asyncio.Task[None] | None = None


class Sharing:
    """A round waits for another box, so each has a thread of its own, and nothing else waits for it."""

    EVERY = 0.5

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[Any]], clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._paces: dict[str, _Pace] = {}
        self._position: Cursor | None = None
        self._pruned_at: datetime | None = None

    async def tick(self) -> None:
        """Begin the rounds that are due."""
        now = self._clock.now()
        if self._pruned_at is None or now - self._pruned_at > PRUNE_EVERY:
            await in_django(prune, now)
            self._pruned_at = now
        peers = await in_django(_peers)
        if not peers:
            self._paces.clear()
            return
        recovered = await self._recovered()
        for name, every in peers:
            pace = self._paces.setdefault(name, _Pace())
            idle = pace.round is None or pace.round.done()
            if idle and (recovered or self._clock.monotonic() >= pace.due):
                pace.round = asyncio.create_task(self._round(name, every, pace))

    async def _round(self, name: str, every: int, pace: _Pace) -> None:
        try:
            failures, message = await asyncio.to_thread(_in_thread, name)
        except Exception:
            log.exception("sync with %s goes on after an error", name)
            failures, message = 1, "an error"
        if failures and not pace.away:
            log.warning("sync with %s waits: %s", name, message)
        elif pace.away and not failures:
            log.info("sync with %s goes on", name)
        pace.away = failures > 0
        pause = delay(failures, base=float(every), cap=LONGEST_PAUSE) if failures else float(every)
        pace.due = self._clock.monotonic() + pause

    async def _recovered(self) -> bool:
        """Whether the network has come back since the last look."""
        async with self._pool.connection() as connection:
            if self._position is None:
                self._position = await current_cursor_async(connection)
            try:
                page, _ = await read_types_after_async(connection, self._position, [NetworkRecovered.type])
            except CursorInvalid:
                self._position = None
                return True
        self._position = page.cursor
        return bool(page.entries)


def _peers() -> list[tuple[str, int]]:
    if current().at_least(Level.CUT):
        return []
    return list(CachePeer.objects.filter(enabled=True).values_list("name", "every"))


def _in_thread(name: str) -> tuple[int, str]:
    """A round; how many have failed in a row, and why the last one did."""
    try:
        sync_now(name)
    except MillwrightError as error:
        failures = CachePeer.objects.filter(name=name).values_list("failures", flat=True).first()
        return failures or 1, str(error)
    finally:
        connections.close_all()
    return 0, ""
