"""How the platforms are: a round trip within each minute, and the troubles that keep a bridge from living."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from psycopg import AsyncConnection
from psycopg import Error as DatabaseError
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from appliance.audit.chain import AuditEntry
from appliance.audit.services import append_async
from appliance.bridges import sql
from appliance.bridges.liveness import DEAF_AFTER
from appliance.bridges.ports import Bridge, Probe, ProbeState
from appliance.events.catalogue import PlatformBack, PlatformDeaf
from appliance.events.event import Event
from appliance.events.services import record_async
from appliance.lib.clock import Clock
from appliance.lib.said import say

log = logging.getLogger(__name__)

PROBE_EVERY = 45.0
IN_TROUBLE_EVERY = 15.0
"""Seconds between two looks at one that did not answer: what is deaf is red, and told, within two minutes."""
PROBE_LIMIT = 20.0


class HealthKeeper:
    """Knows every platform in trouble, and keeps what is known on the platform's row for its page."""

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection[Any]],
        clock: Clock,
        live: Callable[[], Mapping[str, Bridge]],
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._live = live
        self._troubles: dict[str, Probe] = {}
        self._probed: dict[str, float] = {}
        self._looking: set[asyncio.Task[None]] = set()
        self._new = asyncio.Event()

    @property
    def troubles(self) -> Mapping[str, Probe]:
        return dict(self._troubles)

    def forget_all_but(self, names: Collection[str]) -> None:
        self._troubles = {name: probe for name, probe in self._troubles.items() if name in names}

    def came_up(self, name: str) -> bool:
        """A bridge lives now: probe it soon. Gives whether it had been in trouble."""
        self._new.set()
        self._probed.pop(name, None)
        return self._troubles.pop(name, None) is not None

    async def trouble(self, name: str, probe: Probe, *, deliberate: bool = False) -> None:
        """A bridge cannot live, and why; ``deliberate``: somebody wants it so. May be told again and again."""
        changed = self._troubles.get(name) != probe
        if changed:
            log.warning("bridge %s: %s", name, probe.message)
        if changed or self._is_due(name):
            self._troubles[name] = probe
            self._probed[name] = self._clock.monotonic()
            await self._save(name, probe, deliberate)

    async def run(self) -> None:
        """Probe every living bridge in time, and soon after one came up, until cancelled."""
        try:
            while True:
                self._new.clear()
                self.look()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(IN_TROUBLE_EVERY):
                        await self._new.wait()
        finally:
            for task in self._looking:
                task.cancel()
            await asyncio.gather(*self._looking, return_exceptions=True)

    def look(self) -> Sequence[asyncio.Task[None]]:
        """Begin to probe those whose time has come, each by itself: one that hangs delays none."""
        begun = []
        for name, bridge in self._live().items():
            if self._is_due(name):
                self._probed[name] = self._clock.monotonic()
                begun.append(task := asyncio.create_task(self._probe_in_time(name, bridge)))
                self._looking.add(task)
                task.add_done_callback(self._looking.discard)
        return begun

    def _is_due(self, name: str) -> bool:
        last = self._probed.get(name)
        pause = IN_TROUBLE_EVERY if name in self._troubles else PROBE_EVERY
        return last is None or self._clock.monotonic() - last >= pause - 1.0

    async def _probe_in_time(self, name: str, bridge: Bridge) -> None:
        with contextlib.suppress(DatabaseError, PoolTimeout, OSError):
            await self.probe(name, bridge)

    async def probe(self, name: str, bridge: Bridge) -> Probe:
        """One round trip, its result kept for the platform's page."""
        try:
            async with asyncio.timeout(PROBE_LIMIT):
                probe = await bridge.probe()
        except TimeoutError:
            probe = Probe(ProbeState.AWAY, say("no answer in time"))
        except Exception:
            log.exception("the probe of %s broke", name)
            probe = Probe(ProbeState.AWAY, say("the probe broke; see the log"))
        if self._live().get(name) is bridge:
            if probe.state is ProbeState.OK:
                self._troubles.pop(name, None)
            else:
                self._troubles[name] = probe
            await self._save(name, probe)
        return probe

    async def _save(self, name: str, probe: Probe, deliberate: bool = False) -> None:
        """What is known, on the platform's row; and an event, a record and so an alert where it is or was deaf."""
        now = self._clock.now()
        values = {
            "name": name,
            "health": Jsonb(probe.to_json()),
            "state": probe.state.value,
            "round_trip_ms": probe.round_trip_ms,
            "deliberate": deliberate,
            "now": now,
        }
        async with self._pool.connection() as connection, connection.transaction():
            row = await (await connection.execute(sql.HEALTH, values)).fetchone()
            if row is None:
                return
            since, told = row
            if since and not told and now - since >= DEAF_AFTER:
                await self._tell(connection, name, True, PlatformDeaf(name, probe.message[:300]))
            elif told and probe.state is ProbeState.OK:
                await self._tell(connection, name, False, PlatformBack(name))

    async def _tell(self, connection: AsyncConnection[Any], name: str, told: bool, event: Event) -> None:
        changed = await connection.execute(sql.DEAF_TOLD, {"name": name, "told": told})
        if changed.rowcount != 1:
            return
        log.warning("%s: %s", event.type, name)
        await record_async(connection, event)
        said = {"message": getattr(event, "message", "")}
        await append_async(connection, [AuditEntry(event.type, "box", f"platform/{name}", said)])
