"""A guard that has no rules of the kernel, for as long as it lives, is asked once in its life."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.sandbox.ebpf.client import Manner, WatchedSandbox
from appliance.sandbox.errors import SandboxUnavailable
from appliance.sandbox.ports import Declared, Job
from appliance.sandbox.process import wire
from tests.spawner import RunningSpawner

TRUE = Job(("/bin/true",))


class Guard:
    """What guard says to whoever asks it to watch, on a socket that it makes anew in each life."""

    def __init__(self, socket: Path, answer: Callable[[], dict[str, object]]) -> None:
        self._socket = socket
        self._answer = answer
        self.asked = 0

    async def __aenter__(self) -> "Guard":
        self._socket.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, self._socket)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
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
