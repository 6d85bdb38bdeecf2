"""The hub: keeps the bridges of all enabled platforms alive, and carries the outbox's parcels to them."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg import Error as DatabaseError
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from appliance.bridges import sql
from appliance.bridges.composing import Composer, aloud
from appliance.bridges.health import HealthKeeper
from appliance.bridges.hints import INBOUND
from appliance.bridges.holds import hold_of
from appliance.bridges.inbound import InboundWorker
from appliance.bridges.inbox import BridgeInbox
from appliance.bridges.limits import MessageLimit
from appliance.bridges.mutes import end_over
from appliance.bridges.ports import Bridge, CommandHandler, Illustrator, Probe, ProbeState
from appliance.bridges.secrets import Lookup, variable
from appliance.bridges.wanted import WantedBridge, Workshop, is_cut_off, wanted_bridges
from appliance.lib.clock import Clock
from appliance.lib.config import get_config
from appliance.lib.errors import MillwrightError
from appliance.lib.said import say
from appliance.outbox.errors import DeliveryRefused, NotReady
from appliance.outbox.hints import listen
from appliance.outbox.ports import DigestRule, Hold, Pace, Parcel, Receipt
from appliance.outbox.services import wake_platform
from appliance.safety import allstop

log = logging.getLogger(__name__)

RELOAD_EVERY = 5.0
STOP_LIMIT = 5.0
LOAD_LIMIT = 10.0
CUT = Probe(ProbeState.WAITING, say("all-stop: nothing leaves the box"))


@dataclass(frozen=True, slots=True)
class _Live:
    bridge: Bridge
    version: tuple[int, int]
    local: bool
    limit: MessageLimit | None
    digests: DigestRule | None


class BridgeHub:
    """Lives in the reactor. It is the outbox's Courier, and owns the worker of the inbox.

    ``settings`` are values of the box's own configuration for bridges; ``key`` makes the webhooks' secrets.
    ``illustrator`` makes the charts that messages ask for.
    """

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection[Any]],
        handler: CommandHandler,
        clock: Clock,
        *,
        lookup: Lookup = variable,
        settings: Mapping[str, str] | None = None,
        key: str | None = None,
        illustrator: Illustrator | None = None,
    ) -> None:
        self._pool = pool
        self._clock = clock
        known = settings if settings is not None else {"telegram_api": get_config().telegram_api}
        self._workshop = Workshop(pool, clock, lookup, dict(known), key)
        self._composer = Composer(pool, clock, key, illustrator)
        self._live: dict[str, _Live] = {}
        self._health = HealthKeeper(pool, clock, self.live)
        self._inbound = InboundWorker(pool, clock, handler, self.live)
        self._loading = asyncio.Lock()
        self._loaded = asyncio.Event()
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def live(self) -> Mapping[str, Bridge]:
        """The bridges that are alive, by their platform's name."""
        return {name: live.bridge for name, live in self._live.items()}

    def troubles(self) -> Mapping[str, Probe]:
        """Platforms in trouble, and why."""
        return self._health.troubles

    def poke(self) -> None:
        """The configuration may have changed: look now."""
        self._wake.set()

    async def start(self) -> None:
        """Bring the bridges up in the background: no database or platform that is away delays it."""
        heard = {sql.HINT_CHANNEL: self._heard, allstop.CHANNEL: lambda _: self.poke()}
        self._tasks = [
            asyncio.create_task(listen(self._pool, heard)),
            asyncio.create_task(self._watch()),
            asyncio.create_task(self._health.run()),
            asyncio.create_task(self._inbound.run()),
        ]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        async with self._loading:
            await asyncio.gather(*(self._end(name) for name in list(self._live)))

    def _heard(self, payload: str) -> None:
        if payload in (INBOUND, ""):
            self._inbound.poke()
        if payload != INBOUND:
            self.poke()

    # --- the bridges' lives -----------------------------------------------------------------------

    async def _watch(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self.reload()
                async with self._pool.connection() as connection:
                    await end_over(connection, self._clock.now())
            except (DatabaseError, PoolTimeout, OSError) as error:
                log.warning("the platforms cannot be read now: %s", error)
            except Exception:
                log.exception("the hub goes on after an error")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RELOAD_EVERY):
                    await self._wake.wait()

    async def reload(self) -> None:
        """Make the living bridges those of the configuration: end, replace, begin."""
        async with self._loading:
            async with self._pool.connection() as connection:
                wanted = await wanted_bridges(connection)
                cut = await is_cut_off(connection)
            self._health.forget_all_but(wanted)
            for name, live in list(self._live.items()):
                row = wanted.get(name)
                if row is None or row.version != live.version or (cut and not live.local):
                    await self._end(name)
            for row in wanted.values():
                if row.name in self._live:
                    continue
                if cut and not row.is_local:
                    await self._health.trouble(row.name, CUT, deliberate=True)
                else:
                    await self._begin(row)
            self._loaded.set()

    async def _begin(self, row: WantedBridge) -> None:
        inbox = BridgeInbox(self._pool, self._clock, row.name, self._inbound.poke)
        try:
            bridge = await self._workshop.build(row, inbox)
            await bridge.start()
        except MillwrightError as error:
            state = ProbeState.UNAVAILABLE if error.permanent else ProbeState.WAITING
            await self._health.trouble(row.name, Probe(state, str(error)))
        except (DatabaseError, PoolTimeout, OSError):
            raise
        except Exception:
            log.exception("the bridge of %s does not start", row.name)
            broken = Probe(ProbeState.AWAY, say("the bridge does not start; see the log"))
            await self._health.trouble(row.name, broken)
        else:
            self._live[row.name] = _Live(bridge, row.version, row.is_local, row.limit, row.digest)
            log.info("bridge %s is up", row.name)
            self._inbound.poke()
            if self._health.came_up(row.name):
                async with self._pool.connection() as connection:
                    await wake_platform(connection, row.name)

    async def _end(self, name: str) -> None:
        live = self._live.pop(name)
        try:
            async with asyncio.timeout(STOP_LIMIT):
                await live.bridge.stop()
        except Exception:
            log.exception("the bridge of %s did not stop well", name)

    # --- the outbox's courier ---------------------------------------------------------------------

    def pace(self, platform: str, conversation: str | None) -> Pace:
        live = self._live.get(platform)
        if live is None:
            return Pace()
        pace = live.bridge.pace(conversation)
        return live.limit.slow_down(pace) if live.limit else pace

    async def hold_until(self, parcel: Parcel, now: datetime) -> Hold | None:
        """Quiet hours and mutes; a platform that is not up has none."""
        live = self._live.get(parcel.platform)
        if live is None:
            return None
        async with self._pool.connection() as connection:
            return await hold_of(connection, parcel, live.bridge, now)

    def digests(self, platform: str) -> DigestRule | None:
        live = self._live.get(platform)
        return live.digests if live else None

    async def deliver(self, parcel: Parcel) -> Receipt:
        """Send one message through its platform's bridge. Raises DeliveryError."""
        live = await self._speaking(parcel.platform)
        message = await self._composer.compose(parcel, live.bridge, opaque=not live.local)
        if message is None:
            return self._nothing_sent(parcel)
        if message.replaces:
            try:
                receipt = await live.bridge.send_message(message)
                return replace(receipt, detail={**receipt.detail, "edited": True})
            except DeliveryRefused as error:
                log.info("%s: cannot be edited: %s", parcel.platform, error.message)
                message = replace(message, replaces=())
        if "settles" in parcel.message:
            said = aloud(parcel.message)
            if said is None:
                return self._nothing_sent(parcel)
            message = replace(message, text=str(said["text"]))
        return await live.bridge.send_message(message)

    def _nothing_sent(self, parcel: Parcel) -> Receipt:
        """Of a message that was only to take the place of another, which cannot be."""
        note = "nothing was sent: there is no message that it could take the place of"
        return Receipt(parcel.platform, parcel.conversation or "", (), self._clock.now(), note)

    async def _speaking(self, platform: str) -> _Live:
        """The platform's living bridge. Raises NotReady, or DeliveryRefused where there will never be one."""
        if not self._loaded.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOAD_LIMIT):
                    await self._loaded.wait()
        if platform not in self._live:
            await self.reload()  # it may have been saved a moment ago
        live = self._live.get(platform)
        if live is not None:
            if not live.local:
                async with self._pool.connection() as connection:
                    if await is_cut_off(connection):
                        raise NotReady(CUT.message)
            return live
        trouble = self._health.troubles.get(platform)
        if trouble is None:
            raise NotReady(
                say("the platform %(platform)r is not configured", platform=platform),
                hint=say("add it on the platforms page"),
            )
        if trouble.state is ProbeState.UNAVAILABLE:
            raise DeliveryRefused(trouble.message)
        raise NotReady(trouble.message)
