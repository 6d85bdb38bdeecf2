"""What tokens used today, and what they may: counted in memory, written once a second."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Protocol

from appliance.accounts.principal import Principal
from appliance.inference.gateway.errors import ApiError
from appliance.lib.clock import Clock

log = logging.getLogger(__name__)

WRITE_EVERY = 1.0
READ_EVERY = 5.0
"""Seconds after which a limit that a person changed counts."""
TELL_EVERY = 60.0
"""Seconds between two records of refusals, and between two looks whether an hour is to be put on record."""


@dataclass(frozen=True, slots=True)
class Limit:
    """By UTC day; None: no limit."""

    requests: int | None = None
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    requests: int = 0
    prompt_tokens: int = 0
    generated_tokens: int = 0
    refused: int = 0

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.generated_tokens

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.requests + other.requests,
            self.prompt_tokens + other.prompt_tokens,
            self.generated_tokens + other.generated_tokens,
            self.refused + other.refused,
        )


_NOTHING = Counts()

Use = tuple[str, date, Counts]
"""What a token used on a day."""


class Ledger(Protocol):
    async def standing(self, by: Principal, day: date) -> tuple[Limit, Counts]:
        """What it may and what it has used. A limit of its own counts before that of its person's role."""
        ...

    async def add(self, uses: Sequence[Use], now: datetime) -> dict[str, Counts]:
        """Write down; gives the whole days."""
        ...

    async def refused(self, by: str, why: str, times: int) -> None:
        """Put on record."""
        ...

    async def tell_hours(self, now: datetime) -> None:
        """Put what was used before this hour, and is not on record yet, on record."""
        ...


@dataclass(eq=False, slots=True)
class _Known:
    """``written``: as the database had it; ``flying``: on the way there; ``pending``: not yet."""

    limit: Limit
    day: date
    written: Counts
    read_at: float
    flying: Counts = _NOTHING
    pending: Counts = _NOTHING
    refusals: int = 0
    told_at: float = float("-inf")

    @property
    def used(self) -> Counts:
        return self.written + self.flying + self.pending


class Meter:
    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._writing: asyncio.Task[None] | None = None
        self._told_at = float("-inf")
        self._database = asyncio.Lock()
        """One at a time: what is read must not be older than what was written."""

    async def admit(self, by: Principal) -> None:
        """Count a request. Raises ApiError with 429 where the day's share is used up.

        Tokens are known when an answer has ended: those under way at once can take more than is left.
        """
        known = await self._standing(by)
        what = _spent(known.limit, known.used)
        if what is None:
            known.pending += Counts(requests=1)
            self._write_soon()
            return
        known.pending += Counts(refused=1)
        known.refusals += 1
        await self._tell_refusals(by.name, known, what)
        self._write_soon()
        raise self._exceeded(what)

    def count(self, by: Principal, prompt: int, generated: int) -> None:
        """An answer has ended."""
        known = self._known.get(by.name)
        if known is not None:
            known.pending += Counts(prompt_tokens=prompt, generated_tokens=generated)
            self._write_soon()

    async def write(self) -> None:
        """Write what is not written yet. What cannot be written now stays for the next time."""
        async with self._database:
            await self._write()
            if self._clock.monotonic() - self._told_at >= TELL_EVERY:
                self._told_at = self._clock.monotonic()
                await self._ledger.tell_hours(self._clock.now())

    async def _write(self) -> None:
        taken = {name: known for name, known in self._known.items() if known.pending != _NOTHING}
        if not taken:
            return
        for known in taken.values():
            known.flying, known.pending = known.pending, _NOTHING
        uses = [(name, known.day, known.flying) for name, known in taken.items()]
        days: Mapping[str, Counts] = {}
        try:
            days = await self._ledger.add(uses, self._clock.now())
        finally:
            for name, known in taken.items():
                if name in days:
                    known.written = days[name]
                else:
                    known.pending += known.flying
                known.flying = _NOTHING

    async def close(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)
            self._writing = None
            await self.write()

    async def _standing(self, by: Principal) -> _Known:
        known = self._known.get(by.name)
        if known is not None and self._is_fresh(known):
            return known
        async with self._database:
            known, today = self._known.get(by.name), self._clock.now().date()
            if known is not None and self._is_fresh(known):
                return known
            if known is not None and known.day != today:
                await self._write()
            limit, written = await self._ledger.standing(by, today)
            now = self._clock.monotonic()
            if known is None:
                known = self._known[by.name] = _Known(limit, today, written, now)
            known.limit, known.day, known.written, known.read_at = limit, today, written, now
            return known

    def _is_fresh(self, known: _Known) -> bool:
        young = self._clock.monotonic() - known.read_at < READ_EVERY
        return young and known.day == self._clock.now().date()

    async def _tell_refusals(self, name: str, known: _Known, what: str) -> None:
        """At most once a minute, with how many there were: a program that tries on must not fill the record."""
        now = self._clock.monotonic()
        if now - known.told_at >= TELL_EVERY:
            times, known.refusals, known.told_at = known.refusals, 0, now
            await self._ledger.refused(name, what, times)

    def _exceeded(self, what: str) -> ApiError:
        now = self._clock.now()
        midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), now.tzinfo)
        return ApiError(
            429,
            f"{what}; it renews at {midnight:%Y-%m-%d %H:%M} UTC",
            "insufficient_quota",
            code="insufficient_quota",
            # OpenAI's clients try again by themselves; here that is of no use.
            headers=(
                ("Retry-After", str(max(1, int((midnight - now).total_seconds())))),
                ("x-should-retry", "false"),
            ),
        )

    def _write_soon(self) -> None:
        if self._writing is None or self._writing.done():
            self._writing = asyncio.ensure_future(self._write_on())

    async def _write_on(self) -> None:
        """For as long as this process lives: an hour ends also while nobody asks for anything."""
        while True:
            await asyncio.sleep(WRITE_EVERY)
            try:
                await self.write()
            except Exception:
                log.exception("the use of models could not be written down; it is kept for the next time")


def _spent(limit: Limit, used: Counts) -> str | None:
    if limit.requests is not None and used.requests >= limit.requests:
        return f"the {limit.requests} requests of today are used up"
    if limit.tokens is not None and used.tokens >= limit.tokens:
        return f"the {limit.tokens} tokens of today are used up"
    return None
