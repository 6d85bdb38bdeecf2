"""The inbound half of a client: from the network to the handler, and the acknowledgement back."""

import asyncio
import threading

from appliance.bus.batches import Batches
from appliance.bus.connection import Connection
from appliance.bus.packets import Incoming
from appliance.bus.ports import Message
from appliance.bus.window import Held, Window
from appliance.lib.clock import Clock

_LOOK_EVERY = 0.005
_LOOK_AGAIN = 1.0
"""Seconds after which we look whether what waits for its repeat waits in vain."""


class Reception:
    """What was received and not handled, handled and not acknowledged. All but `Held.ack` on its loop."""

    def __init__(self, batches: Batches, clock: Clock, catch_up: float = 0.0) -> None:
        self.batches = batches
        batches.on_room = self._resume
        self.window = Window(self._settle)
        self.received = self.acknowledged = 0
        self._clock = clock
        self._catch_up = catch_up
        self._caught_up_at = float("-inf")
        self._connection: Connection | None = None
        self._flushing = False
        self._later: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0

    def bind(self) -> None:
        """Take the running loop as ours."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()

    def take_up(self, connection: Connection, session_present: bool) -> None:
        if session_present:
            self._caught_up_at = self._clock.monotonic() + self._catch_up
        else:
            self.window.lose_session()
        self._connection = connection

    def let_go(self, clean: bool) -> None:
        """The connection has ended; a persistent session will repeat what it has no acknowledgement of."""
        self._connection = None
        self.window.lose_connection()
        if clean:
            self.window.lose_session()

    def receive(self, connection: Connection, message: Incoming) -> None:
        """One message from the network."""
        self.received += 1
        topic, payload, qos, retain, dup, mid = message
        if topic is None:
            # No handler could name it, and unacknowledged it would take up the broker's window for ever.
            self.batches.poisoned += 1
            if mid:
                connection.acknowledge([mid])
            return
        now, queued = self._clock.now(), self._clock.monotonic() < self._caught_up_at
        held, settled_mid = self.window.receive(
            Message(topic, payload, qos, retain, dup, mid, now, queued=queued)
        )
        if settled_mid:
            self.acknowledged += 1
            connection.acknowledge([settled_mid])
        if held:
            self.batches.put(held)
            if self.batches.is_full:
                connection.pause()

    async def drain(self, grace: float) -> None:
        """Return when all that was handed over is settled, at the latest after ``grace`` seconds.

        A handler may settle later than it returns: when what it took is on the disk.
        """
        for _ in range(round(grace / _LOOK_EVERY)):
            if len(self.window) - self.window.untold <= len(self.batches):
                return
            await asyncio.sleep(_LOOK_EVERY)

    def _resume(self) -> None:
        if self._connection:
            self._connection.resume()

    def _settle(self, held: Held) -> None:
        if self._loop is not None and threading.get_ident() != self._thread:
            self._loop.call_soon_threadsafe(self._settle, held)
            return
        if self.window.settle(held) and self._loop is not None and not self._flushing:
            self._flushing = True  # one write for all that one commit settles
            self._loop.call_soon(self.flush)

    def flush(self, *, everything: bool = False) -> None:
        """Send the acknowledgements that wait; those that wait for a repeat too if this is the end."""
        self._flushing = False
        if self._connection is None or self._loop is None:
            return
        mids = self.window.tell(everything=everything)
        if mids:
            self.acknowledged += len(mids)
            self._connection.acknowledge(mids)
        if self.window.untold and self._later is None:
            self._later = self._loop.call_later(_LOOK_AGAIN, self._look_again)

    def _look_again(self) -> None:
        self._later = None
        self.flush()
