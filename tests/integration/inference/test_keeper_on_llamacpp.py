"""The keeper with real llama.cpp: from a wish to tokens, and over the death of the engine."""

import asyncio
import os
import signal
from pathlib import Path

import httpx
import pytest

from appliance.inference.backends.llamacpp.backend import LlamaCpp
from appliance.inference.backends.llamacpp.planning import ENGINE
from appliance.inference.client import KeeperClient
from appliance.inference.domain import EngineKind, InstanceState
from appliance.inference.hardware.domain import Hardware, Processor
from appliance.inference.leases import Wish
from appliance.inference.scheduling.completing import Completion
from appliance.inference.scheduling.keeper import Keeper
from appliance.inference.scheduling.server import KeeperServer
from appliance.lib.clock import SystemClock
from tests.engine_room import Records, Shelf
from tests.served_models import tiny_served
from tests.spawner import RunningSpawner, processes_with
from tests.wait import wait_for_async

pytestmark = pytest.mark.asyncio


async def hardware() -> Hardware:
    return Hardware(Processor("cpu", 2), 16 << 30, 12 << 30)


async def test_a_model_is_there_when_wanted_and_again_after_its_engine_was_killed(
    llamacpp: LlamaCpp, place: Path, spawner: RunningSpawner
) -> None:
    served = tiny_served(place / "kept")
    backends = {EngineKind.LLAMACPP: llamacpp}
    trial = Completion(backends)
    keeper = Keeper(Shelf([served]), Records(), backends, hardware, trial, SystemClock())
    socket = place / "keeper.sock"
    running = [asyncio.create_task(keeper.run()), asyncio.create_task(KeeperServer(keeper, socket).serve())]
    await wait_for_async(socket.exists)
    client = KeeperClient(socket)
    wish = Wish(model="tiny", principal="user:ana")

    async with client.lease(wish) as lease:
        assert await said(lease.granted.url, lease.granted.key)
        lease.done(4)
    instance = keeper.roster.instances["tiny"]
    assert instance.load_seconds is not None

    for pid in processes_with(str(ENGINE), below=spawner.process.pid):
        os.kill(pid, signal.SIGKILL)
    await wait_for_async(lambda: instance.state is InstanceState.FAILED)
    assert "signal 9" in instance.reason
    instance.standing.again_at = 0.0
    async with client.lease(wish) as lease:
        assert await said(lease.granted.url, lease.granted.key)

    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await trial.close()
    await llamacpp.close()
    await wait_for_async(lambda: not processes_with(str(ENGINE), below=spawner.process.pid))


async def said(url: str, key: str) -> int:
    """How many tokens of an answer came."""
    body = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 4, "temperature": 0}
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {key}"}) as client:
        answer = await client.post(f"{url}/v1/chat/completions", json=body)
    return int(answer.json()["usage"]["completion_tokens"])
