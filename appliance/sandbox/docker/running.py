"""One job in its container: its output, its end, its time limit, and whether anybody still wants it."""

import asyncio
import json
import math
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from appliance.sandbox.docker.engine import Container, Engine
from appliance.sandbox.docker.entry import ALONE, Ending, Frames
from appliance.sandbox.docker.request import JobRequest
from appliance.sandbox.process import wire
from appliance.sandbox.process.capture import HeadTail, LiveFeed
from appliance.sandbox.process.checkpoint import CheckpointWatch
from appliance.sandbox.process.request import Refused

_GRACE = 2.0
_LINGER = 0.25
_DRAIN_SECONDS = 2.0
_PIECE = 1 << 16
_NO_SHELL = 127
"""With what the container's init ends when it cannot start the shell; the shell itself never ends so."""
_KINDS = {"stdout": wire.OUTPUT, "stderr": wire.ERRORS}


@dataclass(slots=True)
class _Stream:
    kept: HeadTail
    ending: Ending


@dataclass(slots=True)
class Running:
    """``client`` is the connection of who asked for the job; shutting it ends the job."""

    engine: Engine
    container: Container
    request: JobRequest
    client: socket.socket
    mark: str
    checkpoint: CheckpointWatch | None
    watched: Callable[[], dict[str, object]] = dict
    """What the kernel tells of the job; asked once, at its end."""
    cancelled: bool = False
    _gone: bool = False
    _timed_out: bool = False
    _stopped: bool = False
    _outlived: bool = False
    _outgoing: bytes | memoryview = b""
    _started: float = field(default_factory=time.monotonic)
    _started_at: float = field(default_factory=time.time)
    _kill_at: float = math.inf
    _frames: Frames = field(default_factory=Frames)
    _live: LiveFeed | None = None
    _streams: dict[str, _Stream] = field(default_factory=dict)

    def __post_init__(self) -> None:
        limit = self.request.output_limit
        self._streams = {name: _Stream(HeadTail(limit), Ending(self.mark)) for name in _KINDS}
        self._live = LiveFeed() if self.request.live else None

    async def until_over(self) -> bytes:
        """Follow the job to its end. Nothing of it runs any more when this gives the frames that tell the end."""
        await self._follow()
        alone = self._ended and all(stream.ending.left <= ALONE for stream in self._streams.values())
        if not alone or self.cancelled:
            await self.engine.signal(self.container.id, "SIGKILL")
            await self._drain()
        code = None if self._ended else await self.engine.exit_code(self.container.id)
        if code == _NO_SHELL and not self.cancelled:
            raise Refused("The image has no /bin/sh, which starts the command.", "Use an image with a shell.")
        return self._outcome(code)

    @property
    def _ended(self) -> bool:
        return all(stream.ending.status is not None for stream in self._streams.values())

    async def _follow(self) -> None:
        """Return when the job ended, or when what is left of it has to be killed."""
        loop = asyncio.get_running_loop()
        output = asyncio.create_task(loop.sock_recv(self.container.stream, _PIECE))
        left = asyncio.create_task(loop.sock_recv(self.client, _PIECE))
        linger_until, to_stop = math.inf, False
        try:
            while True:
                until = min(linger_until, self._due())
                wait = max(0.0, until - time.monotonic())
                done, _ = await asyncio.wait(
                    {output, left}, timeout=wait, return_when=asyncio.FIRST_COMPLETED
                )
                if output in done:
                    if not self._take(_received(output)):
                        self._gone = True
                        return
                    output = asyncio.create_task(loop.sock_recv(self.container.stream, _PIECE))
                if left in done:
                    said = _received(left)
                    self.cancelled = self.cancelled or not said
                    to_stop = to_stop or wire.STOP in said
                    if said:
                        left = asyncio.create_task(loop.sock_recv(self.client, _PIECE))
                now = time.monotonic()
                self._show(now)
                if self.cancelled or now >= min(self._kill_at, linger_until):
                    self._outlived = now >= self._kill_at and not self._ended
                    return
                if self._ended and linger_until == math.inf:
                    if all(stream.ending.left <= ALONE for stream in self._streams.values()):
                        return
                    # A helper that still writes out what it got may finish.
                    linger_until = min(now + _LINGER, self._kill_at)
                if (to_stop or now >= self._deadline) and not (self._asked_to_end or self._ended):
                    self._stopped, self._timed_out = to_stop, not to_stop
                    await self._ask_to_end(now)
        finally:
            await _given_up(output, left)

    async def _ask_to_end(self, now: float) -> None:
        """With a moment in which it may write its checkpoint."""
        self._kill_at = now + _GRACE
        if self.checkpoint:
            self._outgoing = memoryview(bytes(self._outgoing) + self.checkpoint.ending(now))
        await self.engine.signal(self.container.id, "SIGTERM")

    @property
    def _asked_to_end(self) -> bool:
        return self._kill_at < math.inf

    @property
    def _deadline(self) -> float:
        return self._started + self.request.timeout

    def _due(self) -> float:
        """When something is to be done though nothing comes."""
        until = self._kill_at if self._asked_to_end else self._deadline
        if self._outgoing:
            return min(until, time.monotonic() + 0.05)
        if self.checkpoint:
            until = min(until, self.checkpoint.due)
        live = self._live.due() if self._live else None
        return until if live is None else min(until, live)

    def _take(self, data: bytes) -> bool:
        """Sort a piece of what the engine sent. False at the end of it."""
        for name, piece in self._frames.feed(data):
            stream = self._streams[name]
            said = stream.ending.feed(piece)
            stream.kept.add(said)
            if self._live:
                self._live.add(_KINDS[name], said)
        return bool(data)

    async def _drain(self) -> None:
        """Take what is still on its way from a container that is dead."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while self._take(await loop.sock_recv(self.container.stream, _PIECE)):
                    pass
        except OSError:
            pass
        for name, stream in self._streams.items():
            rest = stream.ending.rest()
            stream.kept.add(rest)
            if self._live:
                self._live.add(_KINDS[name], rest)

    def _show(self, now: float) -> None:
        """Send what is to be seen without ever waiting for a slow client: it misses some then."""
        if self.checkpoint and not self._outgoing and now >= self.checkpoint.due and not self._ended:
            self._outgoing = memoryview(self.checkpoint.look(now))
        if self._live and not self._outgoing:
            due = self._live.due()
            if due is not None and due <= now:
                self._outgoing = self._live.take(now)
        if self._outgoing:
            try:
                sent = self.client.send(self._outgoing)
            except BlockingIOError:
                return
            except OSError:
                self.cancelled = True
                return
            self._outgoing = self._outgoing[sent:]

    def _outcome(self, code: int | None) -> bytes:
        """The frames that end the conversation: live output still held back, a checkpoint, the result."""
        frames = bytes(self._outgoing)
        if self._live and self._live.due() is not None:
            frames += self._live.take(time.monotonic())
        ending = self._streams["stdout"].ending
        used, status = ending.used, ending.status if self._ended else code
        exit_status, number = _read_status(status)
        if self.checkpoint and not self.cancelled:
            by_itself = self._ended and number is None
            frames += self.checkpoint.last(by_itself=by_itself, outlived=self._outlived)
        description: dict[str, object] = {
            "exit_status": exit_status,
            "signal": number,
            "timed_out": self._timed_out,
            "cancelled": self.cancelled,
            "stopped": self._stopped,
            "started_at": self._started_at,
            "duration": time.monotonic() - self._started,
            "usage": [used.user_seconds, used.system_seconds, used.memory_bytes],
        }
        description |= self.watched()
        parts: list[bytes] = []
        for name, stream in self._streams.items():
            head, tail = bytes(stream.kept.head), stream.kept.tail
            description[name] = [len(head), len(tail), stream.kept.total]
            parts += (head, tail)
        return frames + wire.frame(wire.RESULT, wire.pack_result(json.dumps(description).encode(), *parts))


def _read_status(status: int | None) -> tuple[int | None, int | None]:
    """Exit status and signal: a shell tells a signal as 128 and its number."""
    if status is None:
        return None, signal.SIGKILL.value
    if 128 < status <= 128 + 64:
        return None, status - 128
    return status, None


def _received(task: asyncio.Task[bytes]) -> bytes:
    try:
        return task.result()
    except OSError:
        return b""


async def _given_up(*tasks: asyncio.Task[bytes]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
