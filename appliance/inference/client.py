"""The other side of the keeper's door, for whoever needs a model."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from pydantic import BaseModel

from appliance.inference.errors import KeeperAway, ModelBusy, ModelRefused, ModelUnavailable, ModelUnknown
from appliance.inference.leases import (
    ANSWER,
    LONGEST_LINE,
    Beat,
    Chosen,
    Done,
    Granted,
    Look,
    Order,
    Over,
    RefusedLease,
    View,
    Waiting,
    Wish,
)
from appliance.lib.errors import MillwrightError

_PATIENCE = 10.0
"""Beyond a wish's own deadline, and for what the keeper can say at once."""
_REST = 60.0
"""Seconds that a connection is kept for the next lease; the keeper hangs up later than that."""
_ERRORS: dict[str, type[MillwrightError]] = {
    kind.code: kind for kind in (ModelRefused, ModelUnknown, ModelUnavailable, KeeperAway)
}


class Lease:
    """A model for as long as the connection stands. ``beat`` as tokens come; the keeper sees by it that they do."""

    def __init__(self, granted: Granted, writer: asyncio.StreamWriter) -> None:
        self.granted = granted
        self.closed = False
        """It is given back: what is said of it now would be heard of the next one on its connection."""
        self._writer = writer

    @property
    def chosen(self) -> Chosen:
        return self.granted.chosen

    def beat(self, tokens: int) -> None:
        self._write(Beat(tokens=tokens))

    def done(self, tokens: int) -> None:
        """A whole answer came."""
        self._write(Beat(tokens=tokens, done=True))

    def failed(self, reason: str) -> None:
        """The engine failed, not the request."""
        self._write(Beat(tokens=0, failed=reason[:500] or "it failed"))

    def _write(self, beat: Beat) -> None:
        if self.closed:
            return
        # Whoever keeps the models may be gone; the engine goes on, and so does the answer.
        with contextlib.suppress(ConnectionError, RuntimeError):
            self._writer.write(beat.model_dump_json().encode() + b"\n")


class _Line:
    """A connection to the keeper, which carries one lease after another."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, socket: Path) -> "_Line":
        """Raises KeeperAway."""
        try:
            return cls(*await asyncio.open_unix_connection(socket, limit=LONGEST_LINE << 4))
        except OSError as error:
            raise KeeperAway(
                "the keeper of models does not run", hint="manage.py status shows the box's services"
            ) from error

    @property
    def alive(self) -> bool:
        return not self.reader.at_eof() and not self.writer.is_closing()

    def say(self, line: BaseModel) -> None:
        self.writer.write(line.model_dump_json().encode() + b"\n")

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


class KeeperClient:
    """``resting``: how many connections it keeps for the next leases, where all are asked for in one event loop. By
    itself it keeps none, and may be used from any."""

    def __init__(self, socket: Path, *, resting: int = 0) -> None:
        self._socket = socket
        self._most_resting = resting
        self._resting: list[tuple[float, _Line]] = []

    @asynccontextmanager
    async def lease(
        self, wish: Wish, on_wait: Callable[[Waiting], None] | None = None
    ) -> AsyncIterator[Lease]:
        """A model, as soon as there is one. Raises ModelUnknown, ModelRefused, ModelBusy, ModelUnavailable."""
        line, granted = await self._granted(wish, on_wait)
        lease = Lease(granted, line.writer)
        try:
            yield lease
        finally:
            lease.closed = True
            await self._give_back(line)

    async def look(self) -> View:
        """What is loaded now. Raises ModelUnavailable."""
        answer = await self._one(Look())
        assert isinstance(answer, View)
        return answer

    async def order(self, order: Order) -> None:
        """Carry out what a person said. Raises ModelUnknown, ModelRefused, ModelUnavailable."""
        answer = await self._one(order)
        assert isinstance(answer, Done)

    async def close(self) -> None:
        """Those that rest."""
        while self._resting:
            await self._resting.pop()[1].close()

    async def _one(self, asked: Look | Order) -> View | Done | Granted | Waiting:
        line = await _Line.open(self._socket)
        try:
            line.say(asked)
            async with asyncio.timeout(_PATIENCE):
                return await _answer(line.reader)
        except TimeoutError:
            raise KeeperAway("the keeper of models does not answer") from None
        finally:
            await line.close()

    async def _granted(self, wish: Wish, on_wait: Callable[[Waiting], None] | None) -> tuple[_Line, Granted]:
        rested = self._rested()
        if rested is not None:
            try:
                return rested, await _wished(rested, wish, on_wait)
            except _HungUp:
                pass  # a keeper that has gone since is no news of the one that is there now
        line = await _Line.open(self._socket)
        return line, await _wished(line, wish, on_wait)

    def _rested(self) -> _Line | None:
        """The one that was used last. Of others it is nobody's loss when they hang up."""
        while self._resting:
            since, line = self._resting.pop()
            if line.alive and time.monotonic() - since < _REST:
                return line
            line.writer.close()
        return None

    async def _give_back(self, line: _Line) -> None:
        """The lease; and the connection too, where it is not to rest."""
        if len(self._resting) >= self._most_resting or not line.alive:
            await line.close()
            return
        line.say(Over())
        now = time.monotonic()
        self._resting.append((now, line))
        while now - self._resting[0][0] >= _REST:
            self._resting.pop(0)[1].writer.close()


class _HungUp(KeeperAway):
    """Before it said anything."""


async def _wished(line: _Line, wish: Wish, on_wait: Callable[[Waiting], None] | None) -> Granted:
    """Hangs up where no lease comes of it."""
    granted = False
    try:
        line.say(wish)
        async with asyncio.timeout(wish.deadline + _PATIENCE):
            found = await _until_granted(line.reader, on_wait)
        granted = True
        return found
    except TimeoutError:
        raise ModelBusy("the keeper of models does not answer") from None
    finally:
        if not granted:
            await line.close()


async def _until_granted(reader: asyncio.StreamReader, on_wait: Callable[[Waiting], None] | None) -> Granted:
    try:
        answer = await _answer(reader)
    except KeeperAway as error:
        raise _HungUp(error.message) from error
    while not isinstance(answer, Granted):
        if isinstance(answer, Waiting) and on_wait is not None:
            on_wait(answer)
        answer = await _answer(reader)
    return answer


async def _answer(reader: asyncio.StreamReader) -> View | Done | Granted | Waiting:
    try:
        line = await reader.readline()
    except (ConnectionError, ValueError) as error:
        raise KeeperAway("the keeper of models went away") from error
    if not line:
        raise KeeperAway("the keeper of models went away")
    answer = ANSWER.validate_json(line)
    if isinstance(answer, RefusedLease):
        raise error_of(answer)
    return answer


def error_of(refused: RefusedLease) -> MillwrightError:
    """As it was raised in the keeper."""
    hint = refused.hint or None
    if refused.code == ModelBusy.code:
        return ModelBusy(refused.message, hint=hint, retry_after=refused.retry_after or 1.0)
    return _ERRORS.get(refused.code, ModelUnavailable)(refused.message, hint=hint)
