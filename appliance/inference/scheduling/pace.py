"""How fast answers come, as the clients of leases tell it. Pure; seconds are monotonic."""

from collections import deque
from dataclasses import dataclass, field

WINDOW = 10.0
"""Seconds over which what comes now is counted."""
_MOST = 1000


@dataclass(slots=True)
class Pace:
    """Of one model: ``last`` is the speed of the last whole answer, in tokens a second; None before the first."""

    last: float | None = None
    _heard: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=_MOST))

    def add(self, tokens: int, now: float) -> None:
        if tokens > 0:
            self._heard.append((now, tokens))

    def ended(self, tokens: int, seconds: float) -> None:
        """A whole answer came. One without a token, or in no time, says nothing about speed."""
        if tokens > 0 and seconds > 0:
            self.last = tokens / seconds

    def now(self, now: float) -> float:
        """Tokens a second of all answers together."""
        while self._heard and now - self._heard[0][0] > WINDOW:
            self._heard.popleft()
        return sum(tokens for _, tokens in self._heard) / WINDOW
