"""The reactor's connections to the brokers beside the box's own: one each, none of which waits for another."""

import asyncio
import contextlib
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from psycopg import AsyncConnection
from psycopg import Error as DatabaseError
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from appliance.bus.aside import Aside
from appliance.bus.brokers.domain import BrokerSpec, wire_filters
from appliance.bus.brokers.services import WantedBroker, password_of, read_enabled
from appliance.bus.client import BusClient
from appliance.bus.options import BusOptions
from appliance.bus.ports import BatchHandler, Delivery, Message
from appliance.lib.config import Config
from appliance.lib.digest import sha256_hex
from appliance.lib.errors import MillwrightError
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.safety.allstop import current_async
from appliance.tasks.matching import TriggerTable

log = logging.getLogger(__name__)

Pool = AsyncConnectionPool[AsyncConnection[Any]]
_AGAIN = 5.0
"""Seconds until what failed at a broker is tried again."""
_GOODBYE = 3.0


@dataclass(frozen=True, slots=True)
class _Foreign:
    """A delivery of a further broker, with its topic as the box writes it."""

    inner: Delivery
    message: Message

    def ack(self) -> None:
        self.inner.ack()


class Link:
    """One broker: its client, what to listen to, and a task that brings the two together."""

    def __init__(self, wanted: WantedBroker, config: Config, pool: Pool, deliver: BatchHandler) -> None:
        self.spec, self.secret_at = wanted.spec, wanted.secret_at
        self._config, self._pool, self._deliver = config, pool, deliver
        self._filters: frozenset[str] = frozenset()
        self._changed = asyncio.Event()
        self._client: BusClient | None = None
        self._error = ""
        self._task = asyncio.create_task(self._keep(), name=f"broker {self.spec.name}")

    @property
    def client_id(self) -> str:
        home = self._config.home
        return self.spec.client_id or f"{home.id}-{self.spec.name}-{home.secret('mqtt_client')[:12]}"

    @property
    def session(self) -> tuple[str, str]:
        """What the session at the broker hangs on."""
        return self.spec.url, self.client_id

    def retune(self, spec: BrokerSpec, filters: frozenset[str]) -> None:
        """Take over what can change while the connection stays."""
        self.spec = spec
        if filters != self._filters:
            self._filters = filters
            self._changed.set()

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        if self._client:
            await self._client.stop()

    async def leave(self) -> None:
        """End, and give the session up at the broker: it would go on collecting for us. Best effort."""
        await self.stop()
        with contextlib.suppress(MillwrightError, DatabaseError, PoolTimeout):
            last = await self._make(clean=True)
            await last.start()
            try:
                await last.wait_connected(_GOODBYE)
            finally:
                await last.stop()
        self._session_file.unlink(missing_ok=True)

    def health(self) -> tuple[bool, JsonObject]:
        if self._client is None:
            return False, {"message": self._error or "connecting"}
        now = self._client.health()
        refused = f"it refused the filters {', '.join(sorted(now.refused_filters))}"
        message = refused if now.refused_filters else self._error or now.last_error or "connecting"
        return now.connected and not now.refused_filters, {
            "message": "" if now.connected and not now.refused_filters else message,
            "received": now.received,
            "set_aside": now.poisoned,
            "connections": now.connections,
            "round_trip": now.round_trip,
            "filters": list[JsonValue](sorted(now.filters)),
        }

    async def _keep(self) -> None:
        while True:
            self._changed.clear()
            self._error = await self._bring_about()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_AGAIN if self._error else None):
                    await self._changed.wait()

    async def _bring_about(self) -> str:
        """Open what is not open, listen to what is wanted; what stood in the way."""
        try:
            if self._client is None:
                client = await self._make(clean=False)
                await client.set_filters(self._filters)
                await client.start()
                self._client = client
            else:
                await self._client.set_filters(self._filters)
        except (MillwrightError, DatabaseError, PoolTimeout, OSError) as error:
            log.warning("broker %s: %s", self.spec.name, error)
            return str(error)
        except Exception as error:
            log.exception("broker %s: trying again after an error", self.spec.name)
            return repr(error)
        return ""

    async def _make(self, *, clean: bool) -> BusClient:
        async with self._pool.connection() as connection:
            password = await password_of(connection, self.spec)
        return BusClient(
            self.spec.address(password),
            self.client_id,
            clean=clean,
            box=self._config.home.id,
            on_batch=None if clean else self._take,
            on_poison=self._set_aside,
            session_file=None if clean else self._session_file,
            options=BusOptions(),
        )

    @property
    def _session_file(self) -> Path:
        mark = sha256_hex(list(self.session))[:12]
        return self._config.home.data / "bus" / f"broker-{self.spec.name}-{mark}.json"

    async def _take(self, deliveries: list[Delivery]) -> None:
        await self._deliver([self._translated(delivery) for delivery in deliveries])

    async def _set_aside(self, message: Message, error: Exception) -> None:
        await Aside(self._pool).keep(self._as_ours(message), error)

    def _translated(self, delivery: Delivery) -> Delivery:
        return _Foreign(delivery, self._as_ours(delivery.message))

    def _as_ours(self, message: Message) -> Message:
        return replace(message, topic=self.spec.to_box(message.topic), broker=self.spec.name)


class InboundBrokers:
    """Keeps one link per enabled row, and follows the rows and the triggers as they change."""

    def __init__(self, pool: Pool, config: Config, deliver: BatchHandler) -> None:
        self._pool, self._config, self._deliver = pool, config, deliver
        self._links: dict[str, Link] = {}
        self._leaving: dict[str, asyncio.Task[None]] = {}

    async def sync(self, table: TriggerTable) -> None:
        """Bring the links in line with the rows and with what the triggers of ``table`` look for."""
        async with self._pool.connection() as connection:
            wanted = {one.spec.name: one for one in await read_enabled(connection)}
            cut = (await current_async(connection)).cuts
        if cut:
            await self._cut()
            return
        for name in list(self._links):
            fresh = wanted.get(name)
            if fresh is None or _needs_another(self._links[name], fresh):
                self._leave(self._links.pop(name), fresh)
        for name, one in wanted.items():
            if name in self._leaving:
                continue  # two under one client id would put each other out
            if name not in self._links:
                self._links[name] = Link(one, self._config, self._pool, self._deliver)
            self._links[name].retune(one.spec, wire_filters(table.filters_of(name), one.spec))

    async def _cut(self) -> None:
        """Under the all-stop nothing leaves the box. The sessions stay: what comes meanwhile is delivered after it."""
        links, self._links = list(self._links.values()), {}
        await asyncio.gather(*(link.stop() for link in links))

    def _leave(self, link: Link, fresh: WantedBroker | None) -> None:
        """End a link. Its session is given up where the next one, if any, will not go on with it."""
        name = link.spec.name
        ending = link.stop
        if fresh is None or (fresh.spec.url, fresh.spec.client_id) != (link.spec.url, link.spec.client_id):
            ending = link.leave
        self._leaving[name] = task = asyncio.create_task(ending())
        task.add_done_callback(lambda _: self._leaving.pop(name, None))

    def health(self) -> dict[str, tuple[bool, JsonObject]]:
        """Of each broker: whether it works, and what a person or Prometheus wants to know."""
        return {name: link.health() for name, link in self._links.items()}

    async def stop(self) -> None:
        """The sessions stay at the brokers: what comes while the box is down is delivered afterwards."""
        stopping = [link.stop() for link in self._links.values()]
        await asyncio.gather(*stopping, *self._leaving.values(), return_exceptions=True)


def _needs_another(link: Link, fresh: WantedBroker) -> bool:
    """Whether the change is one that a living connection cannot take over."""
    kept = replace(fresh.spec, filters=link.spec.filters, prefix=link.spec.prefix)
    return kept != link.spec or fresh.secret_at != link.secret_at
