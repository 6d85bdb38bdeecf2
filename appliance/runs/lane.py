"""The worker's one asyncio loop, beside Celery's threads: it hears of runs by itself."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop

from appliance.runs.executor import Executor

Build = Callable[[], Coroutine[Any, Any, Executor]]


class Lane:
    """An executor on a loop in a thread of its own."""

    def __init__(self, build: Build, close: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._build = build
        self._close = close
        self._loop: asyncio.AbstractEventLoop | None = None
        self._executor: Executor | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="executor", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._ready.wait()

    def stop(self, grace: float, farewell: float) -> None:
        loop, executor = self._loop, self._executor
        if loop is None or executor is None:
            return
        asyncio.run_coroutine_threadsafe(self._shut(executor, grace, farewell), loop).result(
            timeout=grace + farewell + 10
        )
        loop.call_soon_threadsafe(loop.stop)
        self._thread.join(timeout=5)

    async def _shut(self, executor: Executor, grace: float, farewell: float) -> None:
        await executor.drain(grace, farewell)
        await self._close()

    def _run(self) -> None:
        loop = uvloop.new_event_loop()
        asyncio.set_event_loop(loop)
        try:
            self._executor = loop.run_until_complete(self._build())
            self._loop = loop
            self._ready.set()
            loop.run_forever()
        finally:
            self._ready.set()
            loop.close()
