"""Time as a parameter."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """The wall clock, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never jump, from an arbitrary start."""
        ...


@dataclass(frozen=True, slots=True)
class Moment:
    """One instant on both clocks: the one that is set and steps, and the one that stands while the box sleeps."""

    wall: datetime
    monotonic: float

    @classmethod
    def of(cls, clock: Clock) -> "Moment":
        return cls(clock.now(), clock.monotonic())

    def within(self, seconds: float, clock: Clock) -> bool:
        """Whether no more than this has passed since, by either clock."""
        by_wall = (clock.now() - self.wall).total_seconds()
        return 0 <= by_wall <= seconds and clock.monotonic() - self.monotonic <= seconds


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


class ManualClock:
    """A clock that moves only when told to."""

    def __init__(self, start: datetime | None = None) -> None:
        self._now = start or datetime(2026, 1, 1, tzinfo=UTC)
        self._monotonic = 0.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, by: timedelta) -> None:
        self._now += by
        self._monotonic += by.total_seconds()

    def set(self, by: timedelta) -> None:
        """Somebody sets the wall clock; the monotonic one does not notice."""
        self._now += by
