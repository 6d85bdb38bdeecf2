"""What a process publishes to the brokers beside the box's own: one connection each, opened at first use."""

import asyncio
import secrets
from dataclasses import replace
from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from appliance.actions.contract import TargetAway
from appliance.bus.brokers.domain import check_publishable
from appliance.bus.brokers.services import WantedBroker, password_of, read_one
from appliance.bus.client import BusClient
from appliance.lib.config import Config
from appliance.safety.allstop import current_async


class OutgoingBrokers:
    """Each publish looks at the broker's row: a changed one gets a new connection, a removed one none.

    ``patience`` bounds, in seconds, how long one publish may wait, whatever its caller allows.
    """

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection[Any]],
        config: Config,
        process: str,
        *,
        patience: float = 60.0,
    ) -> None:
        self._pool = pool
        self._config = config
        self._process = process
        self._patience = patience
        self._open: dict[str, tuple[WantedBroker, BusClient]] = {}
        self._lock = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()

    async def publish(
        self, broker: str, topic: str, payload: bytes, *, qos: int, retain: bool, timeout: float
    ) -> None:
        """As `BusClient.publish`, to the topic that the box writes as ``topic``.

        Raises also BrokerUnknown, BrokerOff, SecretMissing.
        """
        wanted = await self._wanted(broker)
        wire = check_publishable(wanted.spec, topic)
        client = await self._client(wanted)
        patience = min(timeout, self._patience)
        await client.publish(wire, payload, qos=qos, retain=retain, timeout=patience)

    async def reach(self, broker: str, patience: float) -> bool:
        """As `BusClient.reach`. Raises also TargetAway, BrokerUnknown, BrokerOff, SecretMissing.

        A publish looks at the broker's row by itself; here that is done only where the connection is not there.
        """
        known = self._open.get(broker)
        if known and known[1].is_connected:
            return False
        client = await self._client(await self._wanted(broker))
        return await client.reach(min(patience, self._patience))

    async def _wanted(self, broker: str) -> WantedBroker:
        async with self._pool.connection() as connection:
            wanted = await read_one(connection, broker)
            cut = (await current_async(connection)).cuts
        if cut:
            await self.stop()
            raise TargetAway("the all-stop: nothing leaves the box")
        return wanted

    async def _client(self, wanted: WantedBroker) -> BusClient:
        name, relevant = wanted.spec.name, _relevant(wanted)
        async with self._lock:
            known = self._open.get(name)
            if known and known[0] == relevant:
                return known[1]
            if known:
                del self._open[name]
                self._close(known[1])
            async with self._pool.connection() as connection:
                password = await password_of(connection, wanted.spec)
            home = self._config.home
            # Of this life only: two processes under one client id would put each other out.
            stem = wanted.spec.client_id or f"{home.id}-{name}"
            client = BusClient(
                wanted.spec.address(password),
                f"{stem}-{self._process}-{secrets.token_hex(3)}",
                clean=True,
                box=home.id,
            )
            await client.start()
            self._open[name] = (relevant, client)
            return client

    def _close(self, client: BusClient) -> None:
        task = asyncio.create_task(client.stop())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def obey_stop(self) -> None:
        """Close what is open while the all-stop lets nothing leave the box: also an idle connection talks."""
        if self._open:
            async with self._pool.connection() as connection:
                cut = (await current_async(connection)).cuts
            if cut:
                await self.stop()

    async def stop(self) -> None:
        stopping = [client.stop() for _, client in self._open.values()]
        self._open.clear()
        await asyncio.gather(*stopping, *self._closing, return_exceptions=True)


def _relevant(wanted: WantedBroker) -> WantedBroker:
    """What the connection hangs on: not what is listened to, nor how topics are written here."""
    return replace(wanted, spec=replace(wanted.spec, filters=(), prefix=""))
