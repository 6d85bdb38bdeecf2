"""Live output of running steps to the browser: best effort, the committed output is the truth."""

import asyncio
import codecs
import logging
import re
import secrets
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Protocol

import redis

from appliance.lib.masking import KNOWN
from appliance.processes.kept_output import Chunk
from appliance.sandbox.process.capture import NO_MORE, SKIPPED

log = logging.getLogger(__name__)

FLUSH_EVERY = 0.2
KEEP = 16 * 1024
"""Bytes of one chunk: a flood reaches the browser in its newest pieces."""
HEAD = 16 * 1024
TAIL = 48 * 1024
"""Bytes that are kept of what a step wrote first, and of what it wrote last."""


_GAP = re.compile(re.escape(SKIPPED).replace(rb"%d", rb"\d+") + b"|" + re.escape(NO_MORE))
"""Where the sandbox says that it left something out."""
_HIDDEN = b"*"


class Broadcast(Protocol):
    def broadcast(self, group: str, message: dict[str, Any]) -> None:
        """Send to a Channels group without waiting and without raising."""
        ...


class Shelf(Protocol):
    """Where a browser that comes late finds what was written before; see ``kept_output``."""

    async def put(self, run: str, chunk: Chunk, *, first: bool, head: bool, tail: int) -> None: ...
    async def ended(self, run: str, step: str) -> None: ...


@dataclass(slots=True)
class _Live:
    """One performance of a step that writes."""

    life: str = field(default_factory=lambda: secrets.token_hex(4))
    received: int = 0
    told: int = 0
    head: int = 0
    pending: bytearray = field(default_factory=bytearray)
    tail: deque[int] = field(default_factory=deque)
    decoder: codecs.IncrementalDecoder = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8")("replace")
    )

    def take(self, data: bytes) -> None:
        self.received += len(data)
        before = len(self.pending)
        self.pending += data
        for gap in list(_GAP.finditer(self.pending, before)):
            self._hide_halves(*gap.span())
        del self.pending[:-KEEP]

    def _hide_halves(self, begin: int, end: int) -> None:
        """What is left out between these places may have been the middle of a secret. Positions stay as they are."""
        size = KNOWN.unfinished(self.pending[:begin])
        self.pending[begin - size : begin] = _HIDDEN * size
        size = KNOWN.left_over(self.pending[end:])
        self.pending[end : end + size] = _HIDDEN * size

    def chunk(self, step: str, *, last: bool = False) -> Chunk:
        """What came since the last one. A character that is cut in two comes with the next, and so does what may be
        the beginning of a secret."""
        begin = self.received - len(self.pending)
        if begin > self.told:
            self.decoder.reset()
            self._hide_halves(0, 0)
        back = 0 if last else KNOWN.unfinished(self.pending)
        end = len(self.pending) - back
        text = KNOWN.text(self.decoder.decode(bytes(self.pending[:end])))
        chunk = Chunk(step, self.life, self.told, begin, begin + end, text)
        self.told = begin + end
        del self.pending[:end]
        return chunk

    @property
    def something(self) -> bool:
        """Whether there is more than what is held back."""
        return len(self.pending) > KNOWN.unfinished(self.pending)

    def fits_head(self, chunk: Chunk) -> bool:
        """Whether it still belongs to what was written first; the tail's bounds move on where it does not."""
        size = chunk.end - chunk.begin
        if not self.tail and self.head + size <= HEAD:
            self.head += size
            return True
        self.tail.append(size)
        while sum(self.tail) > TAIL:
            self.tail.popleft()
        return False


class LiveOutput:
    """Collects what steps write, at most five times a second keeps it, and then tells those who watch.

    In that order: who joins the group and reads the shelf after that misses nothing, and knows doubles by their
    positions. Everything must be called on the loop.
    """

    def __init__(self, target: Broadcast, shelf: Shelf) -> None:
        self._target = target
        self._shelf = shelf
        self._live: dict[tuple[str, str], _Live] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._flushing: asyncio.Task[None] | None = None
        self._ended: list[tuple[str, str]] = []

    def emit(self, run_id: str, step: str, stream: str, data: bytes) -> None:
        """Take a chunk of either stream."""
        self._live.setdefault((run_id, step), _Live()).take(data)
        self._soon()

    def ended(self, run_id: str, step: str) -> None:
        """The step writes no more."""
        if (run_id, step) in self._live:
            self._ended.append((run_id, step))
            self._soon()

    async def close(self) -> None:
        """Let what is under way finish."""
        if self._timer is not None:
            self._timer.cancel()
        if self._flushing is not None:
            await self._flushing

    def _soon(self) -> None:
        if self._timer is None and (self._flushing is None or self._flushing.done()):
            self._timer = asyncio.get_running_loop().call_later(FLUSH_EVERY, self._begin)

    def _begin(self) -> None:
        self._timer = None
        self._flushing = asyncio.get_running_loop().create_task(self._flush())
        self._flushing.add_done_callback(lambda _: self._again())

    def _again(self) -> None:
        if self._ended or any(live.something for live in self._live.values()):
            self._soon()

    async def _flush(self) -> None:
        over, self._ended = self._ended, []
        for (run_id, step), live in list(self._live.items()):
            last = (run_id, step) in over
            if live.pending if last else live.something:
                await self._tell(run_id, step, live, last=last)
        for run_id, step in over:
            self._live.pop((run_id, step), None)
            try:
                await self._shelf.ended(run_id, step)
            except (redis.RedisError, OSError, TimeoutError) as error:
                log.debug("the end of %s/%s was not noted: %s", run_id, step, error)

    async def _tell(self, run_id: str, step: str, live: _Live, *, last: bool) -> None:
        first = live.told == 0
        chunk = live.chunk(step, last=last)
        head = live.fits_head(chunk)
        try:
            await self._shelf.put(run_id, chunk, first=first, head=head, tail=len(live.tail))
        except (redis.RedisError, OSError, TimeoutError) as error:
            log.debug("output of %s/%s is not kept: %s", run_id, step, error)
        self._target.broadcast(f"run.{run_id}", {"type": "run.output", "run": run_id, **chunk.to_json()})
