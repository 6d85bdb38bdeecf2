"""The rules of delivery: states, pace and the circuit breaker. Pure: time comes in as a parameter."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from appliance.lib.backoff import delay


class OutboxState(StrEnum):
    PENDING = "pending"
    SENDING = "sending"
    HELD = "held"
    """It waits for a better time, out of its target's line (quiet hours, a mute)."""
    DELIVERED = "delivered"
    FAILED = "failed"
    EXPIRED = "expired"


OPEN = frozenset({OutboxState.PENDING, OutboxState.SENDING, OutboxState.HELD})
FINAL = frozenset({OutboxState.DELIVERED, OutboxState.FAILED, OutboxState.EXPIRED})


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    """It rests: nothing is sent."""
    HALF_OPEN = "half_open"
    """The pause is over: one message shows whether it is back."""


@dataclass(slots=True)
class Breaker:
    """Stops asking a platform that failed ``threshold`` times in a row, and tries it with one message after a pause.

    It counts in wall-clock time, so that it can be kept over a restart; ``base`` and ``cap`` are seconds.
    """

    failures: int = 0
    open_until: datetime | None = None
    threshold: int = 3
    base: float = 2.0
    cap: float = 60.0

    def state(self, now: datetime) -> BreakerState:
        if self.failures < self.threshold:
            return BreakerState.CLOSED
        if self.open_until is None or not now < self.open_until:
            return BreakerState.HALF_OPEN
        # A clock that was set back must not keep it open for an hour.
        longest = timedelta(seconds=self.cap * 1.2)
        return BreakerState.OPEN if self.open_until - now <= longest else BreakerState.HALF_OPEN

    def failed(self, now: datetime) -> None:
        """What was under way when it opened does not make the pause longer."""
        if self.state(now) is BreakerState.OPEN:
            return
        self.failures += 1
        if self.failures >= self.threshold:
            pause = delay(self.failures - self.threshold + 1, base=self.base, cap=self.cap, jitter=0.1)
            self.open_until = now + timedelta(seconds=pause)

    def succeeded(self) -> None:
        self.failures = 0
        self.open_until = None

    def try_now(self) -> None:
        """There is a reason to believe that it is back: end the pause, let one message show it."""
        self.open_until = None


@dataclass(slots=True)
class Bucket:
    """A token bucket: ``per_second`` tokens flow in, at most ``burst`` are kept; None means no limit. A message
    that went out before the limit was known leaves a debt. Time is monotonic seconds."""

    tokens: float = 0.0
    at: float | None = None

    def whole(self, now: float, per_second: float | None, burst: float) -> int | None:
        """How many messages may go now; None for any number."""
        if not per_second:
            return None
        full = max(1.0, burst)
        if self.at is None:
            self.tokens += full
        else:
            self.tokens = min(full, self.tokens + (now - self.at) * per_second)
        self.at = now
        return max(0, math.floor(self.tokens + 1e-9))

    def take(self) -> None:
        self.tokens -= 1.0

    def drain(self) -> None:
        """The platform asked for patience: nothing is saved up."""
        self.tokens = min(self.tokens, 0.0)

    def next_in(self, per_second: float | None) -> float | None:
        """Seconds until a message may go; None where one may go now."""
        if not per_second or self.tokens >= 1.0:
            return None
        return (1.0 - self.tokens) / per_second
