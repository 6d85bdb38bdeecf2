"""A desk to test bus clients at: it starts them, collects what they receive, and clears up."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any

from appliance.bus.client import BusClient
from appliance.bus.options import BusOptions
from appliance.bus.ports import Delivery

FAST = BusOptions(
    ping_every=0.3, ping_patience=1.0, tick=0.05, retry_base=0.05, retry_cap=0.3, connect_timeout=3.0
)


class Inbox:
    """A handler that keeps and acknowledges; ``before_ack`` may fail, or wait."""

    def __init__(self, *, acknowledge: bool = True) -> None:
        self.acknowledge = acknowledge
        self.deliveries: list[Delivery] = []
        self.batches: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.fault: Callable[[list[Delivery]], None] | None = None

    @property
    def payloads(self) -> list[str]:
        return [delivery.message.payload.decode() for delivery in self.deliveries]

    async def handle(self, batch: list[Delivery]) -> None:
        await self.gate.wait()
        if self.fault:
            self.fault(batch)
        self.batches.append(len(batch))
        self.deliveries.extend(batch)
        if self.acknowledge:
            for delivery in batch:
                delivery.ack()


class Desk:
    """``async with Desk(url) as desk``."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._clients: list[BusClient] = []

    async def __aenter__(self) -> "Desk":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(client.stop(grace=1.0) for client in self._clients))

    async def client(
        self,
        name: str,
        *,
        inbox: Inbox | None = None,
        filters: set[str] | None = None,
        clean: bool = False,
        connected: bool = True,
        **more: Any,
    ) -> BusClient:
        more.setdefault("options", FAST)
        more.setdefault("box", "test")
        client = BusClient(
            more.pop("url", self.url), name, clean=clean, on_batch=inbox.handle if inbox else None, **more
        )
        self._clients.append(client)
        if filters:
            await client.set_filters(filters)
        await client.start()
        if connected:
            await client.wait_connected(10)
        return client

    async def crash(self, client: BusClient) -> None:
        """End it as kill -9 of its process would: no goodbye, no acknowledgement."""
        self._clients.remove(client)
        client._reception.window._untold.clear()
        if client._connection:
            client._connection.abort("killed")
        await client.stop(grace=0)
