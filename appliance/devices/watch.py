"""Watches the devices: who was heard, who is connected, who has been silent too long."""

import logging
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from appliance.bus.ports import Delivery
from appliance.devices import sql
from appliance.devices.presence import Owners, PresenceState, silent_reason
from appliance.events import DeviceOffline, DeviceOnline, Event
from appliance.events.services import record_many_async
from appliance.lib.clock import Clock

log = logging.getLogger(__name__)

ASK_EVERY = 5.0

Connections = Callable[[], Awaitable[frozenset[str] | None]]
"""The accounts that are connected now; None where the broker does not tell."""


class DeviceWatch:
    """``heard`` takes every batch of messages; ``tick`` is called every few seconds and writes."""

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection[Any]],
        clock: Clock,
        connections: Connections,
        after_commit: Callable[[], None] = lambda: None,
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._connections = connections
        self._after_commit = after_commit
        self._owners = Owners({})
        self._heard: dict[str, datetime] = {}
        self._patient_since = clock.now()
        self._ask_at = clock.monotonic()

    def heard(self, deliveries: Iterable[Delivery]) -> None:
        """Remember whose messages these are. Kept messages say nothing about now, and who publishes on a further
        broker under a device's topic is not that device."""
        for delivery in deliveries:
            message = delivery.message
            foreign = message.retain or message.broker
            owner = None if foreign else self._owners.of(message.topic)
            if owner is not None:
                self._heard[owner] = message.received_at

    async def tick(self, listening: bool = True) -> None:
        """Write what was heard since the last time, and tell of every edge, in one transaction. While nobody
        listens (our own connection to the broker is away) no device is silent."""
        now = self._clock.now()
        if not listening:
            self._patient_since = now
        ask = self._clock.monotonic() >= self._ask_at
        connected = await self._connections() if ask else None
        async with self._pool.connection() as connection, connection.transaction():
            if ask:
                await self._reload(connection)
            seen = dict(self._heard)
            if connected:
                seen |= dict.fromkeys(sorted(connected & set(self._owners.patterns)), now)
            events = await self._arrived(connection, seen, now)
            if ask:
                await self._connected(connection, connected)
            events += await self._left(connection, now)
            await record_many_async(connection, events)
        for name, at in seen.items():
            if self._heard.get(name) == at:
                del self._heard[name]
        if ask:
            self._ask_at = self._clock.monotonic() + ASK_EVERY
        if events:
            self._after_commit()

    async def _reload(self, connection: AsyncConnection[Any]) -> None:
        patterns = dict(await (await connection.execute(sql.DEVICES)).fetchall())
        if patterns != self._owners.patterns:
            self._owners = Owners(patterns)

    async def _arrived(
        self, connection: AsyncConnection[Any], seen: dict[str, datetime], now: datetime
    ) -> list[Event]:
        if not seen:
            return []
        names = sorted(seen)
        await connection.execute(
            sql.SEEN, {"names": names, "ats": [seen[name] for name in names], "now": now}
        )
        cursor = await connection.execute(sql.ONLINE, {"names": names, "now": now})
        return [DeviceOnline(device=name) for (name,) in await cursor.fetchall()]

    async def _connected(self, connection: AsyncConnection[Any], connected: frozenset[str] | None) -> None:
        if connected is None:
            await connection.execute(sql.UNKNOWN_CONNECTIONS)
        else:
            await connection.execute(sql.CONNECTED, {"names": sorted(connected)})

    async def _left(self, connection: AsyncConnection[Any], now: datetime) -> list[Event]:
        cursor = await connection.execute(sql.OFFLINE, {"now": now, "patient": self._patient_since})
        events: list[Event] = [
            DeviceOffline(device=name, reason=silent_reason(timedelta(seconds=seconds)))
            for name, seconds in await cursor.fetchall()
        ]
        cursor = await connection.execute(sql.REVOKED)
        events += [
            DeviceOffline(device=name, reason="its account was taken back")
            for name, state in await cursor.fetchall()
            if state == PresenceState.ONLINE
        ]
        return events
