"""Who waits for a model: the more urgent first, of equals the one that came first. Bounded, with deadlines."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

from appliance.inference.errors import ModelBusy
from appliance.inference.leases import News, Wish

MOST = 512
MOST_OF_ONE = 128
"""Of one principal, so that one program does not fill the line."""


@dataclass(eq=False, slots=True)
class Waiter:
    """One wish that waits. ``since`` and ``until`` are monotonic; ``news`` is what its client has yet to hear."""

    wish: Wish
    chain: tuple[str, ...]
    number: int
    since: float
    until: float
    news: asyncio.Queue[News] = field(default_factory=asyncio.Queue)
    rejected: dict[str, str] = field(default_factory=dict)
    """Why not, by the model's name, as of the last look."""
    why: str = ""
    wanted: str = ""
    """What it was last told to wait for, and of which model."""
    expected: float | None = None

    @property
    def said(self) -> str:
        return f"{self.why} {self.wanted}".strip()

    @property
    def order(self) -> tuple[int, int]:
        return (-self.wish.priority.rank, self.number)


class Line:
    """All who wait."""

    def __init__(self, most: int = MOST, most_of_one: int = MOST_OF_ONE) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._waiters: list[Waiter] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._waiters)

    def __iter__(self) -> Iterator[Waiter]:
        """In order, of a copy: whoever is looked at may leave."""
        return iter(sorted(self._waiters, key=lambda waiter: waiter.order))

    def join(self, wish: Wish, chain: tuple[str, ...], now: float) -> Waiter:
        """Raises ModelBusy where too many wait."""
        if len(self._waiters) >= self._most:
            raise ModelBusy(f"{len(self._waiters)} requests wait for a model already", retry_after=5.0)
        own = sum(waiter.wish.principal == wish.principal for waiter in self._waiters)
        if own >= self._most_of_one:
            raise ModelBusy(f"{own} requests of {wish.principal} wait for a model already", retry_after=5.0)
        self._count += 1
        waiter = Waiter(wish, chain, self._count, now, now + wish.deadline)
        self._waiters.append(waiter)
        return waiter

    def leave(self, waiter: Waiter) -> None:
        if waiter in self._waiters:
            self._waiters.remove(waiter)

    def late(self, now: float) -> list[Waiter]:
        """Whose deadline has passed."""
        return [waiter for waiter in self._waiters if waiter.until <= now]

    def for_model(self, name: str) -> int:
        """How many would take this model."""
        return sum(name in waiter.chain for waiter in self._waiters)
