"""A connection that is made before its job: it saves waiting, and costs nobody anything where it is not used."""

import socket
import time
from collections.abc import AsyncIterator, Callable

import pytest

from appliance.sandbox.ports import Job
from appliance.sandbox.process import spare, tree
from appliance.sandbox.process.client import ProcessSandbox
from appliance.sandbox.process.spare import Spare
from tests.spawner import RunningSpawner
from tests.wait import wait_for_async

Start = Callable[..., RunningSpawner]
WHERE = Job(("/bin/sh", "-c", "echo $PPID"))


@pytest.fixture
async def made(start: Start) -> AsyncIterator[tuple[RunningSpawner, Spare]]:
    """A spawner with room for one job, and a connection to it."""
    spawner = start(max_jobs=1)
    one = Spare(spawner.socket)
    one.make_soon()
    await wait_for_async(lambda: one.is_made)
    yield spawner, one
    one.close()


async def place_of(sandbox: ProcessSandbox) -> int:
    return int((await sandbox.run(WHERE)).stdout.text)


async def test_jobs_go_over_it_and_the_next_one_is_made(start: Start) -> None:
    sandbox = ProcessSandbox(start().socket, ahead=True)
    for _ in range(3):
        assert (await sandbox.run(WHERE)).exit_status == 0
        await wait_for_async(lambda: sandbox.has_connection)
    sandbox.close()
    assert not sandbox.has_connection


async def test_one_whose_spawner_was_killed_is_not_used(start: Start) -> None:
    first = start()
    sandbox = ProcessSandbox(first.socket, ahead=True)
    await sandbox.run(WHERE)
    await wait_for_async(lambda: sandbox.has_connection)
    first.kill()
    start()
    assert (await sandbox.run(WHERE)).exit_status == 0
    sandbox.close()


async def test_one_that_was_turned_away_is_not_used(made: tuple[RunningSpawner, Spare]) -> None:
    spawner, _ = made
    other = Spare(spawner.socket)  # there is room for one only
    other.make_soon()
    await wait_for_async(lambda: other.is_made)

    def refused() -> bool:
        return other.is_made and other.has_been_answered

    await wait_for_async(refused)
    assert other.take() is None


async def test_a_supervisor_serves_on_after_one_that_nobody_needed(
    made: tuple[RunningSpawner, Spare],
) -> None:
    spawner, one = made
    (before,) = tree.descendants(spawner.process.pid)
    one.close()

    async def served() -> int | None:
        try:
            return await place_of(spawner.sandbox)
        except Exception:
            return None  # it has not heard yet that the other one left

    found: list[int | None] = []

    async def again() -> bool:
        found.append(await served())
        return found[-1] is not None

    await wait_for_async(again, 10)
    assert found[-1] == before


async def test_it_is_closed_when_nobody_comes(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spare, "KEPT", 0.05)
    one = Spare(start().socket)
    one.make_soon()
    await wait_for_async(lambda: one.is_made)
    await wait_for_async(lambda: not one.is_made)


async def test_a_client_that_says_nothing_holds_no_stop_up(start: Start) -> None:
    spawner = start()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as silent:
        silent.connect(str(spawner.socket))
        assert (await spawner.sandbox.run(WHERE)).exit_status == 0
        began = time.monotonic()
        spawner.stop()
        assert time.monotonic() - began < 4, "it waited for the request of a client that says nothing"
