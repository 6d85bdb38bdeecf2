"""Whether a served model may be asked now. In a chat nobody waits until one is loaded: who is not ready is left out."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from appliance.inference.client import KeeperClient
from appliance.inference.domain import EngineKind, InstanceState, Need
from appliance.inference.embeddings.contract import Encoder, Matrix
from appliance.inference.errors import ModelUnavailable
from appliance.inference.leases import Order, Seen, Verb
from appliance.lib.backoff import delay
from appliance.lib.errors import MillwrightError

PATIENCE = 1.0
"""Seconds for what the keeper can say at once."""
FAILURES = 3
REST, LONGEST_REST = 30.0, 600.0
"""Seconds without a question after so many failures in a row; then one more shows whether it goes again."""
LOAD_EVERY = 60.0
T = TypeVar("T")
_MAY_LOAD = frozenset({InstanceState.ABSENT, InstanceState.FAILED})


class Readiness:
    """For one kind of question. Its methods ask the keeper: never call them in an event loop's thread.

    Where nothing is ready the first choice is ordered once a minute, which evicts nobody (`KeeperClient.order`).
    """

    def __init__(self, client: KeeperClient, need: Need, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._need = need
        self._clock = clock
        self._chain: tuple[str, ...] = ()
        self._failures = 0
        self._rests_until = 0.0
        self._ordered_at: float | None = None

    def prefer(self, chain: Sequence[str]) -> None:
        """The selection matrix' row for it; empty: whatever on this box can do it."""
        self._chain = tuple(chain)

    @property
    def reason(self) -> str:
        """Why it is the one that is asked, for people."""
        whose = "the matrix' row" if self._chain else "those on this box"
        return f"the first of {whose} that is ready"

    @contextmanager
    def asking(self) -> Iterator[Seen]:
        """Ask the model that is given. A MillwrightError on the way counts against it.

        Raises ModelUnavailable where none may be asked now, with the reason.
        """
        model = self._ready()
        try:
            yield model
        except MillwrightError:
            self._failed()
            raise
        self._failures = 0

    def _ready(self) -> Seen:
        rests = self._rests_until - self._clock()
        if rests > 0:
            raise ModelUnavailable(f"it failed {self._failures} times in a row; asked again in {rests:.0f} s")
        able = self._able()
        for one in able:
            if one.state is InstanceState.READY:
                return one
        if not able:
            raise ModelUnavailable("no model for this is served")
        first = able[0]
        self._have_loaded(first)
        raise ModelUnavailable(f"{first.model} is {first.state.value}, and nobody waits for it")

    def _able(self) -> list[Seen]:
        """By preference. A model elsewhere hears what people write only where the matrix names it."""
        view = asyncio.run(self._in_time(self._client.look()))
        seen = {one.model: one for one in view.models if self._need in one.offers}
        if self._chain:
            return [seen[name] for name in self._chain if name in seen]
        return [one for one in seen.values() if one.engine is not EngineKind.REMOTE]

    def _have_loaded(self, model: Seen) -> None:
        now = self._clock()
        if model.state not in _MAY_LOAD or model.again_in > 0:
            return
        if self._ordered_at is not None and now - self._ordered_at < LOAD_EVERY:
            return
        self._ordered_at = now
        order = Order(verb=Verb.LOAD, model=model.model, principal="box")
        asyncio.run(self._in_time(self._client.order(order)))

    async def _in_time(self, asked: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(PATIENCE):
                return await asked
        except TimeoutError:
            raise ModelUnavailable("the keeper of models does not answer") from None

    def _failed(self) -> None:
        self._failures += 1
        if self._failures >= FAILURES:
            rest = delay(self._failures - FAILURES + 1, base=REST, cap=LONGEST_REST)
            self._rests_until = self._clock() + rest


class ReadyEncoder:
    """An encoder that is asked only while its model stands ready."""

    def __init__(self, encoder: Encoder, readiness: Readiness) -> None:
        self._encoder = encoder
        self._readiness = readiness
        self.name, self.digest, self.size = encoder.name, encoder.digest, encoder.size

    def encode(self, texts: Sequence[str]) -> Matrix:
        """Raises MillwrightError, ModelUnavailable above all."""
        with self._readiness.asking():
            return self._encoder.encode(texts)
