"""The other side of the keeper's door, for whoever needs a model."""

import asyncio
import contextlib
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
    RefusedLease,
    View,
    Waiting,
    Wish,
)
from appliance.lib.errors import MillwrightError

_PATIENCE = 10.0
"""Beyond a wish's own deadline, and for what the keeper can say at once."""
_ERRORS: dict[str, type[MillwrightError]] = {
    kind.code: kind for kind in (ModelRefused, ModelUnknown, ModelUnavailable)
}


class Lease:
    """A model for as long as the connection stands. ``beat`` as tokens come; the keeper sees by it that they do."""

    def __init__(self, granted: Granted, writer: asyncio.StreamWriter) -> None:
        self.granted = granted
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
        # Whoever keeps the models may be gone; the engine goes on, and so does the answer.
        with contextlib.suppress(ConnectionError, RuntimeError):
            self._writer.write(beat.model_dump_json().encode() + b"\n")


class KeeperClient:
    def __init__(self, socket: Path) -> None:
        self._socket = socket

    @asynccontextmanager
    async def lease(
        self, wish: Wish, on_wait: Callable[[Waiting], None] | None = None
    ) -> AsyncIterator[Lease]:
        """A model, as soon as there is one. Raises ModelUnknown, ModelRefused, ModelBusy, ModelUnavailable."""
        async with self._connection(wish) as (reader, writer):
            try:
                async with asyncio.timeout(wish.deadline + _PATIENCE):
                    granted = await _until_granted(reader, on_wait)
            except TimeoutError:
                raise ModelBusy("the keeper of models does not answer") from None
            yield Lease(granted, writer)

    async def look(self) -> View:
        """What is loaded now. Raises ModelUnavailable."""
        answer = await self._one(Look())
        assert isinstance(answer, View)
        return answer

    async def order(self, order: Order) -> None:
        """Carry out what a person said. Raises ModelUnknown, ModelRefused, ModelUnavailable."""
        answer = await self._one(order)
        assert isinstance(answer, Done)

    async def _one(self, asked: Look | Order) -> View | Done | Granted | Waiting:
        async with self._connection(asked) as (reader, _):
            try:
                async with asyncio.timeout(_PATIENCE):
                    return await _answer(reader)
            except TimeoutError:
                raise KeeperAway("the keeper of models does not answer") from None

    @asynccontextmanager
    async def _connection(
        self, first: BaseModel
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        try:
            reader, writer = await asyncio.open_unix_connection(self._socket, limit=LONGEST_LINE << 4)
        except OSError as error:
            raise KeeperAway(
                "the keeper of models does not run", hint="manage.py status shows the box's services"
            ) from error
        try:
            writer.write(first.model_dump_json().encode() + b"\n")
            yield reader, writer
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def _until_granted(reader: asyncio.StreamReader, on_wait: Callable[[Waiting], None] | None) -> Granted:
    while True:
        answer = await _answer(reader)
        if isinstance(answer, Granted):
            return answer
        if isinstance(answer, Waiting) and on_wait is not None:
            on_wait(answer)


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
