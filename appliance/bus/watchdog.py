"""Liveness by a round trip over a topic of our own: a socket that is open proves nothing."""

import secrets
from datetime import datetime

from appliance.lib.clock import Clock


class Watchdog:
    """Sends a token, waits for it to come back, and says when it has waited too long.

    It gives a verdict only after one round trip has worked: a foreign broker may forbid us the topic, and
    then the keepalive has to do.
    """

    def __init__(self, topic: str | None, clock: Clock, *, every: float, patience: float) -> None:
        self.topic = topic
        self._family = topic.rpartition("/")[0] + "/" if topic else None
        self._clock = clock
        self._every = every
        self._patience = patience
        self._token = b""
        self._sent_at: float | None = None
        self._next = 0.0
        self.round_trip: float | None = None
        self.round_trip_at: datetime | None = None

    def restart(self) -> None:
        """A new connection: what was under way will not come back."""
        self._sent_at = None
        self._next = self._clock.monotonic()

    def due(self) -> bytes | None:
        """The token to publish now, if it is time for one."""
        now = self._clock.monotonic()
        if self.topic is None or self._sent_at is not None or now < self._next:
            return None
        self._token, self._sent_at, self._next = secrets.token_hex(8).encode(), now, now + self._every
        return self._token

    def takes(self, topic: str, payload: bytes) -> bool:
        """Whether a message is a token: ours, or that of another client of this box under a wide filter."""
        if self._family is None or not topic.startswith(self._family):
            return False
        if topic == self.topic:
            self.came_back(payload)
        return True

    def came_back(self, token: bytes) -> None:
        if self._sent_at is not None and token == self._token:
            self.round_trip = self._clock.monotonic() - self._sent_at
            self.round_trip_at = self._clock.now()
            self._sent_at = None

    @property
    def is_overdue(self) -> bool:
        waited = self._clock.monotonic() - self._sent_at if self._sent_at is not None else 0.0
        if waited <= self._patience:
            return False
        if self.round_trip_at is None:
            self._sent_at = None  # never worked here: try again at the next turn, without a verdict
            return False
        return True
