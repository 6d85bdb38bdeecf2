"""Hints to open screens that the journal has something new. A lost hint is harmless: the journal
is the truth.

Poke after the commit, never before it.
"""

import asyncio
import atexit
import contextlib
import logging
import threading
from typing import Any

from channels.layers import get_channel_layer

log = logging.getLogger(__name__)

GROUP = "live"
MESSAGE = {"type": "live.hint"}
INTERVAL = 0.05
PATIENCE = 2.0
_IN_FLIGHT = 64


class Hinter:
    """Sends to the channel layer from one event loop: coalesced, without waiting, without raising."""

    def __init__(self, interval: float = INTERVAL, layer: Any = None) -> None:
        self._interval = interval
        self._layer = layer
        self._timer: asyncio.TimerHandle | None = None
        self._again = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._away = False

    def poke(self) -> None:
        """Something was committed: at most one hint per interval, and always one after the last poke.

        Must be called on the loop.
        """
        if self._timer is not None:
            self._again = True
            return
        self.broadcast(GROUP, MESSAGE)
        self._timer = asyncio.get_running_loop().call_later(self._interval, self._elapsed)

    def broadcast(self, group: str, message: dict[str, Any]) -> None:
        """Send any message to a group; dropped when the channel layer is away or slow. On the loop only."""
        if len(self._tasks) >= _IN_FLIGHT:
            return
        task = asyncio.get_running_loop().create_task(self._send(group, message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Let what is under way finish, within the sender's patience."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _elapsed(self) -> None:
        self._timer = None
        if self._again:
            self._again = False
            self.poke()

    async def _send(self, group: str, message: dict[str, Any]) -> None:
        try:
            layer = self._layer or get_channel_layer()
            if layer is not None:
                async with asyncio.timeout(PATIENCE):
                    await layer.group_send(group, message)
            self._away = False
        except Exception as error:
            if not self._away:
                log.warning("the channel layer is away, screens update late: %r", error)
            self._away = True


class _Background:
    """One loop in a daemon thread, so that a thread without a loop can poke too."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.hinter = Hinter()
        self.thread = threading.Thread(target=self.loop.run_forever, name="hints", daemon=True)
        self.thread.start()
        atexit.register(self.end)

    def end(self) -> None:
        """Send what is under way and end the thread.

        One that is still inside a library when the interpreter goes may take the process down (status 134), after a
        command has done what it was to do.
        """
        with contextlib.suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(self.hinter.close(), self.loop).result(PATIENCE)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(PATIENCE)


_lock = threading.Lock()
_background: _Background | None = None


def _start() -> _Background:
    global _background
    with _lock:
        if _background is None:
            _background = _Background()
        return _background


def poke_from_thread() -> None:
    """As ``Hinter.poke``, from any thread: for services that run in the web process and in commands.

    Use as ``transaction.on_commit(poke_from_thread)``.
    """
    background = _start()
    background.loop.call_soon_threadsafe(background.hinter.poke)


def broadcast_from_thread(group: str, message: dict[str, Any]) -> None:
    """As ``Hinter.broadcast``, from any thread."""
    background = _start()
    background.loop.call_soon_threadsafe(background.hinter.broadcast, group, message)
