"""The network's state on a real database, with real sockets: each edge is told once, also over a restart."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from appliance.lib.clock import ManualClock, SystemClock
from appliance.outbox.network.domain import Answer, Edge, Endpoint, TargetKind
from appliance.outbox.network.links import Links
from appliance.outbox.network.monitor import CUT, NetworkMonitor
from appliance.outbox.network.probing import Prober
from tests.wait import wait_for_async

from .conftest import Desk, Pool

CABLE = Links(("eth0",), True)
NO_CABLE = Links((), False)


@dataclass
class Plant:
    """What a monitor sees: endpoints, which of them answer, and the cable."""

    pool: Pool
    clock: ManualClock
    endpoints: list[Endpoint] = field(default_factory=list)
    silent: set[str] = field(default_factory=set)
    links: Links = CABLE
    told: list[Edge] = field(default_factory=list)
    looks: int = 0

    def monitor(self) -> NetworkMonitor:
        return NetworkMonitor(
            self.pool,
            self.clock,
            [self._source],
            self.told.extend,
            look=self._look,
            links=lambda: self.links,
        )

    async def _source(self) -> Sequence[Endpoint]:
        return self.endpoints

    async def _look(self, endpoint: Endpoint) -> Answer:
        self.looks += 1
        return Answer(endpoint.name not in self.silent, "silent" if endpoint.name in self.silent else "")

    async def rounds(self, monitor: NetworkMonitor, count: int = 4) -> None:
        for _ in range(count):
            self.clock.advance(timedelta(seconds=10))
            await monitor.round()

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        async with self.pool.connection() as connection:
            return await (await connection.execute(query)).fetchall()

    async def events(self) -> list[tuple[Any, ...]]:
        return await self.rows(
            "SELECT type, data ->> 'target', data ->> 'condition' FROM events_event "
            "WHERE type LIKE 'network.%' ORDER BY seq"
        )

    async def condition(self) -> str:
        [(found,)] = await self.rows("SELECT condition FROM outbox_networkfacts")
        return str(found)


@pytest.fixture
async def plant(pool: Pool) -> Plant:
    return Plant(pool, ManualClock(SystemClock().now()), [Endpoint("logs", TargetKind.NAMED, "10.0.0.5", 80)])


async def test_an_edge_is_told_once_and_so_is_its_end(plant: Plant) -> None:
    monitor = plant.monitor()
    await plant.rounds(monitor)
    assert await plant.events() == []
    plant.silent.add("logs")
    await plant.rounds(monitor, 10)
    assert await plant.events() == [("network.lost", "logs", "offline")]
    assert await plant.condition() == "offline"
    plant.silent.clear()
    await plant.rounds(monitor, 10)
    assert await plant.events() == [
        ("network.lost", "logs", "offline"),
        ("network.recovered", "logs", "online"),
    ]
    assert await plant.condition() == "online"
    assert [edge.target.name for edge in plant.told] == ["logs", "logs", "logs"]


async def test_a_restart_neither_forgets_nor_repeats_an_edge(plant: Plant) -> None:
    monitor = plant.monitor()
    await plant.rounds(monitor, 1)
    plant.silent.add("logs")
    await plant.rounds(monitor)
    await plant.rounds(plant.monitor())
    assert await plant.events() == [("network.lost", "logs", "offline")]
    plant.silent.clear()
    await plant.rounds(plant.monitor())
    assert (await plant.events())[1:] == [("network.recovered", "logs", "online")]


async def test_two_monitors_tell_of_one_edge_once(plant: Plant) -> None:
    one, other = plant.monitor(), plant.monitor()
    await plant.rounds(one, 1)
    await plant.rounds(other, 1)
    plant.silent.add("logs")
    for _ in range(5):
        plant.clock.advance(timedelta(seconds=10))
        await asyncio.gather(one.round(), other.round())
    assert await plant.events() == [("network.lost", "logs", "offline")]


async def test_a_network_that_comes_and_goes_with_each_look_tells_nothing(plant: Plant) -> None:
    monitor = plant.monitor()
    await plant.rounds(monitor, 1)
    for number in range(20):
        plant.silent = {"logs"} if number % 2 else set()
        await plant.rounds(monitor, 1)
    assert await plant.events() == []


async def test_a_box_without_internet_and_without_targets_is_online_while_a_cable_is_in(plant: Plant) -> None:
    plant.endpoints = []
    monitor = plant.monitor()
    await plant.rounds(monitor)
    assert await plant.condition() == "online"
    plant.links = NO_CABLE
    await plant.rounds(monitor)
    assert await plant.events() == [("network.lost", "link", "offline")]


async def test_one_target_of_two_makes_the_network_degraded(plant: Plant) -> None:
    plant.endpoints.append(Endpoint("erp", TargetKind.NAMED, "10.0.0.6", 443))
    monitor = plant.monitor()
    plant.silent.add("erp")
    await plant.rounds(monitor)
    assert await plant.events() == [("network.lost", "erp", "degraded")]
    assert await plant.condition() == "degraded"


async def test_a_target_that_is_no_longer_wanted_is_forgotten(plant: Plant) -> None:
    monitor = plant.monitor()
    plant.silent.add("logs")
    await plant.rounds(monitor)
    plant.endpoints = []
    await plant.rounds(monitor, 1)
    assert await plant.rows("SELECT name FROM outbox_networktarget") == [("link",)]
    assert await plant.condition() == "online"


async def test_a_target_that_moved_is_judged_anew(plant: Plant) -> None:
    monitor = plant.monitor()
    plant.silent.add("logs")
    await plant.rounds(monitor)
    plant.endpoints = [Endpoint("logs", TargetKind.NAMED, "10.0.0.99", 80)]
    plant.silent.clear()
    await plant.rounds(monitor)
    assert [kind for kind, *_ in await plant.events()] == ["network.lost"]
    assert await plant.condition() == "online"


async def test_a_changed_link_is_looked_at_at_once(plant: Plant) -> None:
    monitor = plant.monitor()
    await monitor.tick()
    looks = plant.looks
    await monitor.tick()
    assert plant.looks == looks, "not yet time"
    plant.links = NO_CABLE
    await monitor.tick()
    assert plant.looks == looks + 1


async def test_nothing_is_looked_at_while_the_all_stop_cuts_the_box_off(plant: Plant) -> None:
    async with plant.pool.connection() as connection:
        before = await (await connection.execute("SELECT level FROM safety_allstop")).fetchall()
        await connection.execute(
            "INSERT INTO safety_allstop (id, level, epoch, reason, by, since) VALUES (1, 'cut', 1, '', '', now()) "
            "ON CONFLICT (id) DO UPDATE SET level = 'cut'"
        )
    try:
        await plant.rounds(plant.monitor())
        assert plant.looks == 0
        assert await plant.rows("SELECT note FROM outbox_networkfacts") == [(CUT,)]
    finally:
        async with plant.pool.connection() as connection:
            await connection.execute(
                "UPDATE safety_allstop SET level = %s", before[0] if before else ("none",)
            )


async def test_what_waited_for_a_platform_goes_out_when_it_is_back(plant: Plant, desk: Desk) -> None:
    plant.endpoints = [Endpoint("chat", TargetKind.PLATFORM, "10.0.0.7", 443)]
    plant.clock = desk.clock
    monitor = plant.monitor()
    await plant.rounds(monitor, 1)
    plant.silent.add("chat")
    await plant.rounds(monitor)
    assert monitor.away() == {"chat"}
    item = await desk.put("hello")
    async with plant.pool.connection() as connection:
        await connection.execute(
            "UPDATE outbox_item SET next_at = %s", (desk.clock.now() + timedelta(hours=1),)
        )
    plant.silent.clear()
    await plant.rounds(monitor)
    assert monitor.away() == frozenset()
    await desk.round()
    assert (await desk.row(item))["state"] == "delivered"


# --- real sockets


@asynccontextmanager
async def listening(port: int = 0) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A port that takes connections, and what was sent to it."""
    heard: list[bytes] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read())
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", port)
    try:
        yield server.sockets[0].getsockname()[1], heard
    finally:
        server.close()
        await server.wait_closed()


async def test_a_look_connects_and_sends_nothing() -> None:
    async with listening() as (port, heard):
        answer = await Prober().look(Endpoint("x", TargetKind.NAMED, "127.0.0.1", port))
        assert answer.ok
        assert answer.named is None
        assert answer.milliseconds is not None
        await wait_for_async(lambda: heard == [b""])


async def test_a_port_that_nobody_listens_on_is_away() -> None:
    async with listening() as (port, _):
        pass
    answer = await Prober().look(Endpoint("x", TargetKind.NAMED, "127.0.0.1", port))
    assert answer == Answer(False, "nothing listens there")


async def test_a_name_that_does_not_exist_says_so() -> None:
    answer = await Prober().look(Endpoint("x", TargetKind.NAMED, "no-such-host.invalid", 80))
    assert not answer.ok
    assert answer.named is False


async def test_a_host_that_swallows_everything_takes_no_longer_than_the_limit() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for one in fillers:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        try:
            answer = await Prober(limit=0.2).look(Endpoint("x", TargetKind.NAMED, "127.0.0.1", port))
            assert answer == Answer(False, "no answer in time")
        finally:
            for one in fillers:
                one.close()
