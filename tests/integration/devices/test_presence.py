"""Devices that come and go are told of once for each edge, also over a restart of the box."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from appliance.accounts.principal import BOX
from appliance.bus.ports import Message
from appliance.devices import services
from appliance.devices.connections import BrokerConnections
from appliance.devices.watch import DeviceWatch
from appliance.lib.clock import ManualClock, SystemClock
from appliance.lib.config import Config
from tests.brokers import Nats
from tests.database import address, emptied
from tests.wait import wait_for_async

Pool = AsyncConnectionPool[AsyncConnection[Any]]
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Heard:
    """A delivery in nobody's hands."""

    message: Message

    def ack(self) -> None:
        return


@dataclass
class Yard:
    pool: Pool
    clock: ManualClock
    connected: frozenset[str] | None = None
    watches: list[DeviceWatch] = field(default_factory=list)

    def watch(self) -> DeviceWatch:
        async def connections() -> frozenset[str] | None:
            return self.connected

        return DeviceWatch(self.pool, self.clock, connections)

    async def ticks(self, watch: DeviceWatch, count: int = 1, every: float = 10) -> None:
        for _ in range(count):
            self.clock.advance(timedelta(seconds=every))
            await watch.tick()

    def say(
        self, watch: DeviceWatch, topic: str = "devices/press/temp", *, retain: bool = False, broker: str = ""
    ) -> None:
        watch.heard([Heard(Message(topic, b"1", 1, retain, False, 1, self.clock.now(), broker))])

    async def told(self) -> list[tuple[str, str]]:
        async with self.pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT type, data ->> 'device' FROM events_event WHERE type LIKE 'device.%' ORDER BY seq"
            )
            return await cursor.fetchall()

    async def row(self, name: str = "press") -> dict[str, Any]:
        async with self.pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT state, connected, last_seen FROM devices_presence WHERE name = %s", (name,)
            )
            row = await cursor.fetchone()
        assert row is not None
        return dict(zip(("state", "connected", "last_seen"), row, strict=True))


@pytest.fixture
async def yard(transactional_db: None) -> AsyncIterator[Yard]:
    async with Pool(address(), min_size=1, max_size=3, kwargs={"autocommit": True}, open=False) as pool:
        async with pool.connection() as connection:
            await connection.execute(emptied("events_event", "devices_presence", "devices_device"))
            await connection.execute(
                "INSERT INTO devices_device (name, username, password_hash, publish, subscribe, silence_seconds,"
                " created_at, created_by) VALUES ('press', 'press', '', '[\"devices/press/#\"]', '[]', 60, now(), '')"
            )
        yield Yard(pool, ManualClock(SystemClock().now()))


async def test_each_edge_is_told_once(yard: Yard) -> None:
    watch = yard.watch()
    await yard.ticks(watch)
    for _ in range(3):
        yard.say(watch)
        await yard.ticks(watch)
    assert await yard.told() == [("device.online", "press")]
    await yard.ticks(watch, 20)
    assert await yard.told() == [("device.online", "press"), ("device.offline", "press")]
    yard.say(watch)
    await yard.ticks(watch)
    assert (await yard.told())[2:] == [("device.online", "press")]


async def test_a_device_silent_over_a_restart_gets_exactly_one_offline(yard: Yard) -> None:
    watch = yard.watch()
    await yard.ticks(watch)
    yard.say(watch)
    await yard.ticks(watch)
    yard.clock.advance(timedelta(hours=2))
    survivor = yard.watch()
    await yard.ticks(survivor)
    assert await yard.told() == [("device.online", "press")], "it may have spoken while nobody listened"
    await yard.ticks(survivor, 10)
    await yard.ticks(yard.watch(), 10)
    assert await yard.told() == [("device.online", "press"), ("device.offline", "press")]


async def test_a_device_that_speaks_again_after_a_restart_was_never_away(yard: Yard) -> None:
    watch = yard.watch()
    await yard.ticks(watch)
    yard.say(watch)
    await yard.ticks(watch)
    yard.clock.advance(timedelta(hours=2))
    survivor = yard.watch()
    await yard.ticks(survivor, 3)
    yard.say(survivor)
    await yard.ticks(survivor, 3)
    assert await yard.told() == [("device.online", "press")]


async def test_a_connected_device_is_online_however_silent(yard: Yard) -> None:
    watch, yard.connected = yard.watch(), frozenset({"press", "box"})
    await yard.ticks(watch, 20)
    assert await yard.told() == [("device.online", "press")]
    assert (await yard.row())["connected"] is True
    yard.connected = frozenset({"box"})
    await yard.ticks(watch, 3)
    assert (await yard.row())["state"] == "online", "a short disconnection is no absence"
    await yard.ticks(watch, 20)
    assert await yard.told() == [("device.online", "press"), ("device.offline", "press")]


async def test_while_our_own_connection_is_away_no_device_is_silent(yard: Yard) -> None:
    watch = yard.watch()
    await yard.ticks(watch)
    yard.say(watch)
    await yard.ticks(watch)
    for _ in range(20):
        yard.clock.advance(MINUTE)
        await watch.tick(listening=False)
    assert await yard.told() == [("device.online", "press")]


async def test_kept_messages_and_strangers_topics_say_nothing(yard: Yard) -> None:
    watch = yard.watch()
    await yard.ticks(watch)
    yard.say(watch, retain=True)
    yard.say(watch, "devices/stranger/x")
    yard.say(watch, "plant/line1/x")
    yard.say(watch, broker="another")
    await yard.ticks(watch)
    assert await yard.told() == []


async def test_a_device_whose_account_was_taken_back_is_told_of_once(yard: Yard) -> None:
    watch = yard.watch()
    await yard.ticks(watch)
    yard.say(watch)
    await yard.ticks(watch)
    async with yard.pool.connection() as connection:
        await connection.execute("UPDATE devices_device SET revoked_at = now()")
    await yard.ticks(watch, 5)
    assert await yard.told() == [("device.online", "press"), ("device.offline", "press")]


async def test_two_watches_tell_of_one_edge_once(yard: Yard) -> None:
    one, other = yard.watch(), yard.watch()
    await yard.ticks(one)
    await yard.ticks(other)
    yard.say(one)
    yard.say(other)
    await asyncio.gather(one.tick(), other.tick())
    yard.clock.advance(timedelta(minutes=5))
    await asyncio.gather(one.tick(), other.tick())
    assert await yard.told() == [("device.online", "press"), ("device.offline", "press")]


async def test_the_embedded_broker_tells_who_is_connected(
    box: tuple[Nats, Config], services_from_the_loop: None
) -> None:
    broker, config = box
    broker.stop()
    broker.more = f'http: "127.0.0.1:-1"\nports_file_dir: "{broker.folder}"'
    broker.start()
    ask = BrokerConnections(broker.folder)
    account = await sync_to_async(services.add_device)("press", BOX, config=config)
    client = Client(CallbackAPIVersion.VERSION2, "press")
    client.username_pw_set("press", account.password)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()

    async def connected() -> bool:
        return "press" in (await ask() or ())

    try:
        await wait_for_async(connected)
    finally:
        client.disconnect()
        client.loop_stop()

    async def gone() -> bool:
        return await ask() == frozenset()

    await wait_for_async(gone)
    broker.stop()
    assert await ask() is None
