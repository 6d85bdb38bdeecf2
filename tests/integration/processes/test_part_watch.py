"""Parts that go down and come back are told of once for each edge, also over restarts."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from psycopg import AsyncConnection, OperationalError
from psycopg_pool import AsyncConnectionPool

from appliance.lib.clock import ManualClock, SystemClock
from appliance.lib.config import read_config
from appliance.processes.part_checks import PartState, spawner_state
from appliance.processes.part_watch import STOPPED, PartWatch
from appliance.processes.signs import sign
from tests.database import address, emptied

Pool = AsyncConnectionPool[AsyncConnection[Any]]


class Breakable(Pool):
    """A pool whose database can be away."""

    away = False

    async def getconn(self, timeout: float | None = None) -> AsyncConnection[Any]:
        if self.away:
            raise OperationalError("the database is away")
        return await super().getconn(timeout)


@dataclass
class Parts:
    pool: Breakable
    clock: ManualClock
    states: dict[str, PartState] = field(default_factory=lambda: {"redis": PartState(True)})

    def watch(self, *, grace: float = 0) -> PartWatch:
        checks = {name: (lambda name=name: self.states[name]) for name in self.states}
        return PartWatch(self.pool, self.clock, checks, fall=2, grace=grace)

    async def ticks(self, watch: PartWatch, count: int = 3) -> None:
        for _ in range(count):
            self.clock.advance(timedelta(seconds=3))
            await watch.tick()

    async def signs(self, part: str, ago: float, message: str = "") -> None:
        async with self.pool.connection() as connection:
            await sign(connection, part, True, {"message": message})
            at = self.clock.now() - timedelta(seconds=ago)
            await connection.execute("UPDATE processes_partbeat SET at = %s WHERE part = %s", (at, part))

    async def told(self) -> list[tuple[str, bool]]:
        async with self.pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT data ->> 'part', (data ->> 'healthy')::bool FROM events_event "
                "WHERE type = 'part.health' ORDER BY seq"
            )
            return await cursor.fetchall()


@pytest.fixture
async def parts(transactional_db: None) -> AsyncIterator[Parts]:
    async with Breakable(address(), min_size=1, max_size=3, kwargs={"autocommit": True}, open=False) as pool:
        async with pool.connection() as connection:
            await connection.execute(emptied("events_event", "processes_partedge", "processes_partbeat"))
        yield Parts(pool, ManualClock(SystemClock().now()))


async def test_each_edge_is_told_once(parts: Parts) -> None:
    watch = parts.watch()
    await parts.ticks(watch)
    assert await parts.told() == []
    parts.states["redis"] = PartState(False, "no answer")
    await parts.ticks(watch, 5)
    parts.states["redis"] = PartState(True)
    await parts.ticks(watch, 5)
    assert await parts.told() == [("redis", False), ("redis", True)]


async def test_one_bad_look_is_no_edge(parts: Parts) -> None:
    watch = parts.watch()
    for number in range(10):
        parts.states["redis"] = PartState(number % 2 == 0)
        await parts.ticks(watch, 1)
    assert await parts.told() == []


async def test_a_restart_of_the_watch_neither_repeats_nor_forgets(parts: Parts) -> None:
    parts.states["redis"] = PartState(False, "no answer")
    await parts.ticks(parts.watch())
    await parts.ticks(parts.watch())
    assert await parts.told() == [("redis", False)]
    parts.states["redis"] = PartState(True)
    await parts.ticks(parts.watch())
    assert await parts.told() == [("redis", False), ("redis", True)]


async def test_two_watches_tell_of_one_edge_once(parts: Parts) -> None:
    one, other = parts.watch(), parts.watch()
    await parts.ticks(one)
    await parts.ticks(other)
    parts.states["redis"] = PartState(False)
    for _ in range(4):
        await parts.ticks(one, 1)
        await parts.ticks(other, 1)
    assert await parts.told() == [("redis", False)]


async def test_a_process_without_signs_of_life_is_away_until_it_signs_again(parts: Parts) -> None:
    watch = parts.watch()
    await parts.signs("worker", 1)
    await parts.ticks(watch, 1)
    await parts.signs("worker", 60)
    await parts.ticks(watch)
    await parts.signs("worker", 0)
    await parts.ticks(watch)
    assert await parts.told() == [("worker", False), ("worker", True)]


async def test_parts_that_start_with_us_have_time_to_start(parts: Parts) -> None:
    watch = parts.watch(grace=20)
    await parts.signs("worker", 3600)
    await parts.ticks(watch, 5)
    await parts.signs("worker", 0)
    await parts.ticks(watch, 2)
    assert await parts.told() == []


async def test_a_database_that_was_away_is_told_of_when_it_is_back(parts: Parts) -> None:
    watch = parts.watch()
    await parts.ticks(watch)
    parts.pool.away = True
    await parts.ticks(watch)
    parts.pool.away = False
    await parts.ticks(watch)
    assert await parts.told() == [("postgres", False), ("postgres", True)]


async def test_a_gap_in_the_reactors_own_signs_is_told_of_with_both_ends(parts: Parts) -> None:
    await parts.signs("reactor", 1)
    await parts.ticks(parts.watch(), 1)
    await parts.signs("reactor", 120)
    survivor = parts.watch()
    await survivor.look_back()
    await parts.signs("reactor", 0)
    await parts.ticks(survivor)
    assert await parts.told() == [("reactor", False), ("reactor", True)]


async def test_a_reactor_that_was_asked_to_stop_was_not_away(parts: Parts) -> None:
    await parts.signs("reactor", 120, STOPPED)
    survivor = parts.watch()
    await survivor.look_back()
    assert await parts.told() == []


def test_the_spawner_is_there_while_its_socket_listens(tmp_path: Path) -> None:
    config = read_config({"MILLWRIGHT_HOME": str(tmp_path / "a box")})
    door = config.home.spawner_socket
    door.parent.mkdir(parents=True, exist_ok=True)
    assert not spawner_state(config).healthy
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(door))
        assert not spawner_state(config).healthy, "bound, but nobody listens"
        listener.listen()
        assert spawner_state(config).healthy
    assert not spawner_state(config).healthy
    door.unlink()


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare"), reason="a network namespace needs root and unshare"
)
def test_the_spawner_is_there_also_in_another_container(tmp_path: Path) -> None:
    config = read_config({"MILLWRIGHT_HOME": str(tmp_path / "box")})
    door = config.home.spawner_socket
    door.parent.mkdir(parents=True, exist_ok=True)
    listen = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX);"
        " s.bind(sys.argv[1]); s.listen(); print(flush=True); input()"
    )
    command = ["unshare", "--net", sys.executable, "-c", listen, str(door)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout
        other.stdout.readline()
        assert spawner_state(config).healthy
        other.communicate(b"\n")
    assert not spawner_state(config).healthy


async def test_what_went_away_together_with_the_database_is_told_of_when_that_is_back(parts: Parts) -> None:
    parts.states["disk"] = PartState(True)
    watch = parts.watch()
    await parts.ticks(watch)
    parts.pool.away, parts.states["disk"] = True, PartState(False, "full")
    await parts.ticks(watch)
    parts.pool.away, parts.states["disk"] = False, PartState(True)
    await parts.ticks(watch)
    edges = [("postgres", False), ("postgres", True), ("disk", False), ("disk", True)]
    assert await parts.told() == edges
    await parts.ticks(parts.watch(), 5)
    assert await parts.told() == edges
