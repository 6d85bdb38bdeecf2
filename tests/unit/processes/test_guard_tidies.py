"""Guard goes on tidying up whatever the engine answers; no engine can be brought to refuse at will."""

import asyncio
import contextlib
from types import SimpleNamespace
from typing import Any

import pytest

from appliance.processes.guard import server as module
from appliance.sandbox.docker.engine import EngineRefused


async def test_an_engine_that_refuses_once_does_not_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.01)
    tries, tidied = [], asyncio.Event()

    async def cleanup() -> int:
        tries.append(1)
        if len(tries) == 1:
            raise EngineRefused(500, "removal of container is in progress")
        return 0

    async def tidy() -> None:
        tidied.set()

    server: Any = module.Server.__new__(module.Server)
    server._clean = False
    server._watching = SimpleNamespace(tidy=lambda: None, forget_containers=lambda: None)
    server._runner, server._pool = SimpleNamespace(cleanup=cleanup), SimpleNamespace(tidy=tidy)
    tidying = asyncio.create_task(server._tidy())
    try:
        async with asyncio.timeout(10):
            await asyncio.wait({tidying, asyncio.create_task(tidied.wait())}, return_when="FIRST_COMPLETED")
        assert not tidying.done()
        assert tidied.is_set()
    finally:
        tidying.cancel()
        with contextlib.suppress(asyncio.CancelledError, EngineRefused):
            await tidying
