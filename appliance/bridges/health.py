"""How the platforms are: a round trip each minute, and the troubles that keep a bridge from living."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Mapping
from typing import Any

from psycopg import AsyncConnection
from psycopg import Error as DatabaseError
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from appliance.bridges import sql
from appliance.bridges.ports import Bridge, Probe, ProbeState
from appliance.lib.clock import Clock

log = logging.getLogger(__name__)

PROBE_EVERY = 60.0
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
        self._new = asyncio.Event()

    @property
    def troubles(self) -> Mapping[str, Probe]:
        return dict(self._troubles)

    def forget_all_but(self, names: Collection[str]) -> None:
        self._troubles = {name: probe for name, probe in self._troubles.items() if name in names}

    def came_up(self, name: str) -> bool:
        """A bridge lives now: probe it soon. Gives whether it had been in trouble."""
        self._new.set()
        return self._troubles.pop(name, None) is not None

    async def trouble(self, name: str, probe: Probe) -> None:
        """A bridge cannot live, and why."""
        if self._troubles.get(name) != probe:
            self._troubles[name] = probe
            log.warning("bridge %s: %s", name, probe.message)
            await self._save(name, probe)

    async def run(self) -> None:
        """Probe every living bridge each minute, and soon after one came up, until cancelled."""
        while True:
            self._new.clear()
            for name, bridge in self._live().items():
                with contextlib.suppress(DatabaseError, PoolTimeout, OSError):
                    await self.probe(name, bridge)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PROBE_EVERY):
                    await self._new.wait()

    async def probe(self, name: str, bridge: Bridge) -> Probe:
        """One round trip, its result kept for the platform's page."""
        try:
            async with asyncio.timeout(PROBE_LIMIT):
                probe = await bridge.probe()
        except TimeoutError:
            probe = Probe(ProbeState.AWAY, "no answer in time")
        except Exception:
            log.exception("the probe of %s broke", name)
            probe = Probe(ProbeState.AWAY, "the probe broke; see the log")
        if self._live().get(name) is bridge:
            if probe.state is ProbeState.OK:
                self._troubles.pop(name, None)
            else:
                self._troubles[name] = probe
            await self._save(name, probe)
        return probe

    async def _save(self, name: str, probe: Probe) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(
                sql.HEALTH, {"name": name, "health": Jsonb(probe.to_json()), "now": self._clock.now()}
            )
