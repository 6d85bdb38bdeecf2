"""The worker's one asyncio loop: a Celery door hands a run to it and returns at once."""

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any
from uuid import UUID

from appliance.runs.executor import Executor

log = logging.getLogger(__name__)

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

    def attend(self, run_ids: Sequence[UUID]) -> None:
        """Hand runs over. Called from Celery's threads."""
        loop, executor = self._loop, self._executor
        if loop is None or executor is None:
            log.warning("hint before the executor is ready; its sweep will find the runs")
            return
        for run_id in run_ids:
            asyncio.run_coroutine_threadsafe(executor.look(run_id), loop)

    def stop(self, grace: float) -> None:
        loop, executor = self._loop, self._executor
        if loop is None or executor is None:
            return
        asyncio.run_coroutine_threadsafe(self._shut(executor, grace), loop).result(timeout=grace + 10)
        loop.call_soon_threadsafe(loop.stop)
        self._thread.join(timeout=5)

    async def _shut(self, executor: Executor, grace: float) -> None:
        await executor.drain(grace)
        await self._close()

    def _run(self) -> None:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        try:
            self._executor = loop.run_until_complete(self._build())
            self._loop = loop
            self._ready.set()
            loop.run_forever()
        finally:
            self._ready.set()
            loop.close()


_current: Lane | None = None


def install(lane: Lane) -> None:
    """Make this the lane of the process; called once by the worker's start."""
    global _current
    _current = lane


def current() -> Lane | None:
    return _current
