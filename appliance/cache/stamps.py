"""Hybrid logical time of kept values (Kulkarni et al., "Logical Physical Clocks", 2014), one clock a key.

A write over a value is always later than that value, whatever the wall clocks of the two boxes say; of two writes
that do not know of each other the wall clocks decide, as far as they can be trusted.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from appliance.lib.errors import MillwrightError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TEXT = re.compile(r"([0-9a-f]{12})-([0-9a-f]{8})-([^\x00\s]{0,100})")
_LATEST = (1 << 47) - 1
_HIGHEST = (1 << 30) - 1
"""Of a counter that is read: the column holds twice as many, so a write over it always has a stamp."""


class StampInvalid(MillwrightError):
    code = "cache.stamp_invalid"


@dataclass(frozen=True, slots=True, order=True)
class Stamp:
    """One write: wall clock in milliseconds since 1970, a counter within it, and the box that wrote."""

    wall: int
    counter: int
    origin: str

    def __str__(self) -> str:
        return f"{self.wall:012x}-{self.counter:08x}-{self.origin}"

    @property
    def at(self) -> datetime:
        return _EPOCH + timedelta(milliseconds=self.wall)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises StampInvalid."""
        match = _TEXT.fullmatch(text)
        if match is None or int(match[1], 16) > _LATEST or int(match[2], 16) > _HIGHEST:
            raise StampInvalid(f"{text[:60]!r} is not the stamp of a write")
        try:
            stamp = cls(int(match[1], 16), int(match[2], 16), match[3])
            stamp.at.isoformat()
        except (OverflowError, ValueError) as error:
            raise StampInvalid(f"{text[:60]!r} lies beyond the calendar") from error
        return stamp


def milliseconds(at: datetime) -> int:
    """The wall part of a stamp made at ``at``."""
    return (at - _EPOCH) // timedelta(milliseconds=1)


def tick(now: datetime, origin: str, *known: Stamp | None) -> Stamp:
    """The stamp of a write made at ``now`` over everything in ``known``: later than each of them."""
    wall = milliseconds(now)
    before = max((stamp for stamp in known if stamp), default=None)
    if before is None or before.wall < wall:
        return Stamp(wall, 0, origin)
    return Stamp(before.wall, before.counter + 1, origin)
