"""The rules of delivery: states, pace and the circuit breaker. Pure: time comes in as monotonic seconds."""

from dataclasses import dataclass
from enum import StrEnum

from appliance.lib.backoff import delay


class OutboxState(StrEnum):
    PENDING = "pending"
    SENDING = "sending"
    DELIVERED = "delivered"
    FAILED = "failed"
    EXPIRED = "expired"


OPEN = frozenset({OutboxState.PENDING, OutboxState.SENDING})
FINAL = frozenset({OutboxState.DELIVERED, OutboxState.FAILED, OutboxState.EXPIRED})


@dataclass(slots=True)
class Breaker:
    """Stops asking a platform that failed ``threshold`` times in a row, and tries it again after a pause."""

    threshold: int = 3
    base: float = 2.0
    cap: float = 60.0
    failures: int = 0
    open_until: float = 0.0

    def failed(self, now: float) -> None:
        self.failures += 1
        if self.failures >= self.threshold:
            self.open_until = now + delay(
                self.failures - self.threshold + 1, base=self.base, cap=self.cap, jitter=0.1
            )

    def succeeded(self) -> None:
        self.failures = 0
        self.open_until = 0.0

    def rests(self, now: float) -> bool:
        """Whether nothing is to be sent now. After the pause, one failure is enough to rest again."""
        return now < self.open_until


@dataclass(slots=True)
class Pacer:
    """Spreads messages evenly: each caller gets the next free slot."""

    next_free: float = 0.0

    def reserve(self, now: float, per_second: float | None) -> float:
        """Seconds that the caller has to wait for its slot."""
        if not per_second:
            return 0.0
        slot = max(now, self.next_free)
        self.next_free = slot + 1.0 / per_second
        return slot - now
