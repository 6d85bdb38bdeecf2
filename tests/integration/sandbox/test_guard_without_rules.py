"""A guard that has no rules of the kernel, for as long as it lives, is asked once in its life."""

import asyncio
import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from appliance.sandbox.docker.request import UnwatchedRequest, parse_request
from appliance.sandbox.ebpf.client import Manner, WatchedSandbox
from appliance.sandbox.errors import SandboxUnavailable
from appliance.sandbox.ports import Declared, Job
from appliance.sandbox.process import wire
from tests.spawner import RunningSpawner
from tests.wait import wait_for_async

TRUE = Job(("/bin/true",))


class Guard:
    """What guard says to whoever asks it to watch, on a socket that it makes anew in each life."""

    def __init__(self, socket: Path, answer: Callable[[], dict[str, object]]) -> None:
        self._socket = socket
        self._answer = answer
        self.asked = 0
        self.unwatched: list[str] = []

    async def __aenter__(self) -> "Guard":
        self._socket.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, self._socket)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, length = wire.HEADER.unpack(await reader.readexactly(wire.HEADER.size))
        request = parse_request(await reader.readexactly(length))
        if isinstance(request, UnwatchedRequest):
            self.unwatched.append(request.label)
            await reader.read()  # until whoever asked leaves
            self.unwatched.remove(request.label)
            writer.close()
            return
        self.asked += 1
        writer.write(wire.frame(wire.FACTS, json.dumps(self._answer()).encode()))
        await writer.drain()
        writer.close()


def lacking(*, lasting: bool) -> dict[str, object]:
    return {"absent": "no clang was here", "lasting": lasting}


async def test_it_is_asked_once_and_again_in_its_next_life(spawner: RunningSpawner, tmp_path: Path) -> None:
    socket = tmp_path / "guard.sock"
    sandbox = WatchedSandbox(socket, spawner.sandbox, Manner())
    for _ in range(2):
        async with Guard(socket, lambda: lacking(lasting=True)) as guard:
            for _ in range(3):
                outcome = await sandbox.run(TRUE)
                assert outcome.watched is not None
                assert outcome.watched.reason == "no clang was here"
        assert guard.asked == 1


async def test_what_may_pass_is_asked_each_time(spawner: RunningSpawner, tmp_path: Path) -> None:
    sandbox = WatchedSandbox(tmp_path / "guard.sock", spawner.sandbox, Manner())
    async with Guard(tmp_path / "guard.sock", lambda: lacking(lasting=False)) as guard:
        for _ in range(3):
            await sandbox.run(TRUE)
    assert guard.asked == 3


async def test_what_must_be_limited_is_not_run_on_the_strength_of_memory(
    spawner: RunningSpawner, tmp_path: Path
) -> None:
    sandbox = WatchedSandbox(tmp_path / "guard.sock", spawner.sandbox, Manner(required=True))
    async with Guard(tmp_path / "guard.sock", lambda: lacking(lasting=True)):
        await sandbox.run(TRUE)
        with pytest.raises(SandboxUnavailable):
            await sandbox.run(Job(("/bin/true",), declared=Declared(network=())))


@pytest.mark.parametrize("answers", [True, False])
async def test_guard_hears_of_what_runs_without_its_rules_until_it_is_over(
    spawner: RunningSpawner, tmp_path: Path, answers: bool
) -> None:
    """Also one that comes back only while the job runs."""
    job = Job(("/bin/sleep", "60"), label="step fill of run 7")
    sandbox = WatchedSandbox(tmp_path / "guard.sock", spawner.sandbox, Manner(expected=True))
    guard = Guard(tmp_path / "guard.sock", lambda: {"message": "the table is full"})
    async with AsyncExitStack() as stack:
        if answers:
            await stack.enter_async_context(guard)
        running = asyncio.create_task(sandbox.run(job))
        if not answers:
            await wait_for_async(lambda: spawner.work_folders, 10)
            await stack.enter_async_context(guard)
        await wait_for_async(lambda: guard.unwatched == ["step fill of run 7"], 10)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await wait_for_async(lambda: not guard.unwatched, 10)
