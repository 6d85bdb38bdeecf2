"""After a start: whether what waited in the broker meanwhile has been read."""

QUIET = 1.0
"""Seconds without a message, once connected, that end the backlog."""

PATIENCE = 10.0
"""Seconds after which nobody waits for it any longer: a busy bus never falls silent, a broker may be away."""


class Backlog:
    """A ``no`` that came while the box was down must end its hold before the hold fires."""

    def __init__(self, started: float) -> None:
        self._started = started
        self._received = -1
        self._changed = started
        self._read = False

    def read(self, monotonic: float, *, connected: bool, received: int) -> bool:
        """Once true, true for ever. ``monotonic`` and the start are seconds of one monotonic clock."""
        if received != self._received or not connected:
            self._received, self._changed = received, monotonic
        self._read = self._read or monotonic - self._changed >= QUIET or monotonic - self._started >= PATIENCE
        return self._read
