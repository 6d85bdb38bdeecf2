"""Watches the links and looks at every target, more often while something is in doubt."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from appliance.lib.clock import Clock
from appliance.lib.hysteresis import Hysteresis
from appliance.outbox.network.domain import LINK, Answer, Edge, Endpoint, Opinion, Reach, TargetKind
from appliance.outbox.network.links import Links, read_links
from appliance.outbox.network.probing import Prober
from appliance.outbox.network.store import NetworkStore
from appliance.safety import allstop

log = logging.getLogger(__name__)

CALM_EVERY, AWAY_EVERY, DOUBT_EVERY = 10.0, 5.0, 2.0
AT_ONCE = 16
CUT = "all-stop: nothing leaves the box, so nothing is looked at"

Source = Callable[[], Awaitable[Sequence[Endpoint]]]
Look = Callable[[Endpoint], Awaitable[Answer]]


class NetworkMonitor:
    """``tick`` is called about each second. ``sources`` say what the box has to do with: of two targets with one
    name the first counts. ``told`` hears of edges after their commit."""

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection[Any]],
        clock: Clock,
        sources: Sequence[Source],
        told: Callable[[Sequence[Edge]], None],
        *,
        look: Look | None = None,
        links: Callable[[], Links] = read_links,
        hold: float = 5.0,
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._sources = sources
        self._told = told
        self._look = look or Prober().look
        self._links = links
        self._hold = hold
        self._store = NetworkStore(pool)
        self._targets: dict[str, tuple[Endpoint, Hysteresis]] = {}
        self._seen: Links | None = None
        self._next = clock.monotonic()
        self._cut = False
        self._limit = asyncio.Semaphore(AT_ONCE)

    def away(self) -> frozenset[str]:
        """Platforms that cannot be reached: what is for them waits without being tried."""
        if self._cut:
            return frozenset()
        return frozenset(
            name
            for name, (endpoint, opinion) in self._targets.items()
            if endpoint.kind is TargetKind.PLATFORM and opinion.good is False
        )

    async def tick(self) -> None:
        """Look if it is time, or if a link changed."""
        links = self._links()
        changed = self._seen is not None and links != self._seen
        self._seen = links
        if changed:
            log.info("interfaces %s, default route %s", links.interfaces or "none", links.default_route)
        if changed or self._clock.monotonic() >= self._next:
            await self.round(links)

    async def round(self, links: Links | None = None) -> list[Edge]:
        """One look at everything, written down; gives the edges."""
        links = links or self._links()
        await self._want()
        async with self._pool.connection() as connection:
            self._cut = (await allstop.current_async(connection)).at_least(allstop.Level.CUT)
        opinions = {} if self._cut else await self._opinions(links)
        found = await self._store.settle(opinions, links, self._clock.now(), CUT if self._cut else "")
        self._next = self._clock.monotonic() + self._pause()
        if found:
            for edge in found:
                log.warning("network: %s is %s %s", edge.target.name, edge.reach.value, edge.reason)
            self._told(found)
        return found

    async def _want(self) -> None:
        endpoints = {LINK: Endpoint(LINK, TargetKind.LINK)}
        for source in self._sources:
            for endpoint in await source():
                endpoints.setdefault(endpoint.name, endpoint)
        known = await self._store.want(list(endpoints.values()), self._clock.now())
        for name, endpoint in endpoints.items():
            if name not in self._targets or self._targets[name][0] != endpoint:
                good = {Reach.UP: True, Reach.DOWN: False}.get(known.get(name, Reach.UNKNOWN))
                self._targets[name] = endpoint, Hysteresis(hold=self._hold, good=good)
        self._targets = {name: one for name, one in self._targets.items() if name in endpoints}

    async def _opinions(self, links: Links) -> dict[str, Opinion]:
        async def ask(endpoint: Endpoint) -> Answer:
            if endpoint.kind is TargetKind.LINK:
                return Answer(bool(links.interfaces), "" if links.interfaces else "no interface carries")
            async with self._limit:
                return await self._look(endpoint)

        names = list(self._targets)
        answers = await asyncio.gather(*(ask(self._targets[name][0]) for name in names))
        now = self._clock.monotonic()
        found = {}
        for name, answer in zip(names, answers, strict=True):
            opinion = self._targets[name][1]
            opinion.take(answer.ok, now)
            reach = {True: Reach.UP, False: Reach.DOWN, None: Reach.UNKNOWN}[opinion.good]
            found[name] = Opinion(reach, answer)
        return found

    def _pause(self) -> float:
        opinions = [opinion for _, opinion in self._targets.values()]
        if any(one.in_doubt for one in opinions):
            return DOUBT_EVERY
        return AWAY_EVERY if any(one.good is False for one in opinions) else CALM_EVERY
