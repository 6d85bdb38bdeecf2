"""Group commit: deliveries wait while a batch is being handled, and the next batch is all that waited.

No timer: an idle bus hands over single messages at once, a busy one hands over hundreds.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from appliance.bus.fair import FairQueue
from appliance.bus.ports import Delivery, Message, PoisonHandler
from appliance.bus.window import Held
from appliance.lib.away import database_error, passes
from appliance.lib.backoff import delay
from appliance.lib.errors import MillwrightError

log = logging.getLogger(__name__)

_ATTEMPTS_ALONE = 3
"""How often a message that fails by itself is tried before it is poison."""


def is_transient(error: Exception) -> bool:
    """Whether the same batch may pass later: something is away or broken, rather than the batch wrong."""
    if isinstance(error, MillwrightError):
        return not error.permanent
    told = database_error(error)
    return passes(told) if told else isinstance(error, (OSError, TimeoutError))


class Batches:
    """The bounded queue between the network and the handler."""

    def __init__(
        self,
        handle: Callable[[list[Delivery]], Awaitable[None]],
        on_poison: PoisonHandler | None,
        *,
        max_batch: int,
        max_queue: int,
        max_bytes: int,
    ) -> None:
        self._handle = handle
        self._on_poison = on_poison
        self._max_batch = max_batch
        self._max_queue = max_queue
        self._max_bytes = max_bytes
        self._queue = FairQueue()
        self._bytes = 0
        self._wake = asyncio.Event()
        self.on_room: Callable[[], None] = lambda: None
        self._idle = asyncio.Event()
        self._idle.set()
        self.failures = 0
        self.poisoned = 0

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def is_full(self) -> bool:
        return len(self._queue) >= self._max_queue or self._bytes >= self._max_bytes

    @property
    def has_room(self) -> bool:
        return len(self._queue) <= self._max_queue // 2 and self._bytes <= self._max_bytes // 2

    def put(self, held: Held) -> None:
        self._queue.put(held)
        self._bytes += len(held.message.payload)
        self._wake.set()

    async def drain(self, grace: float) -> None:
        """Return when no batch is under way, at the latest after ``grace`` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._idle.wait()

    async def run(self) -> None:
        """Hand over batch after batch until cancelled."""
        while True:
            self._wake.clear()
            while self._queue:
                batch = self._queue.take(self._max_batch)
                self._bytes -= sum(len(held.message.payload) for held in batch)
                self._idle.clear()
                try:
                    await self._hand_over(batch)
                finally:
                    self._idle.set()
                if self.has_room:
                    self.on_room()
            await self._wake.wait()

    async def _hand_over(self, batch: list[Held]) -> None:
        """Try until the handler has taken all, or until what it cannot take is known and set aside."""
        attempt = 0
        while True:
            error = await self._attempt(batch)
            if error is None:
                return
            batch = [held for held in batch if not held.settled]
            if not batch:
                return
            if not is_transient(error):
                break
            attempt += 1
            await asyncio.sleep(delay(attempt, base=0.1, cap=5.0))
        for held in batch:
            await self._alone(held)

    async def _alone(self, held: Held) -> None:
        attempt = wrong = 0
        while not held.settled:
            error = await self._attempt([held])
            if error is None:
                return
            wrong += not is_transient(error)
            if wrong >= _ATTEMPTS_ALONE:
                await self._set_aside(held, error)
                return
            attempt += 1
            await asyncio.sleep(delay(attempt, base=0.05, cap=5.0))

    async def _attempt(self, batch: list[Held]) -> Exception | None:
        try:
            await self._handle(list(batch))
        except Exception as error:
            self.failures += 1
            log.exception("handling %d messages from the bus failed", len(batch))
            return error
        return None

    async def _set_aside(self, held: Held, error: Exception) -> None:
        """Acknowledge what can never be handled: it would hold back all that follows. Not before it is on record."""
        message: Message = held.message
        log.error("a message on %s is set aside: %r, %d bytes", message.topic, error, len(message.payload))
        attempt = 0
        while not held.settled and not await self._is_on_record(message, error):
            attempt += 1
            await asyncio.sleep(delay(attempt, base=0.1, cap=5.0))
        self.poisoned += 1
        held.ack()

    async def _is_on_record(self, message: Message, error: Exception) -> bool:
        """Also of what never can be: then the log is what there is."""
        if self._on_poison:
            try:
                await self._on_poison(message, error)
            except Exception as failed:
                log.exception("the record of a message set aside failed")
                return not is_transient(failed)
        return True
