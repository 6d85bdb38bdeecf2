"""Where the marks of an axis stand, and what they say. Pure."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from itertools import pairwise
from statistics import median

from appliance.devices.readings.domain import Point

_STEPS_OF_TIME = (
    *(timedelta(seconds=n) for n in (1, 2, 5, 10, 15, 30)),
    *(timedelta(minutes=n) for n in (1, 2, 5, 10, 15, 30)),
    *(timedelta(hours=n) for n in (1, 2, 3, 6, 12)),
    *(timedelta(days=n) for n in (1, 2, 5, 10, 20, 50, 100)),
)
_DAY = timedelta(days=1)
_GAP = 3
"""Times the usual distance between two points, from which on the line is broken."""


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis of numbers from ``low`` to ``high``, with a mark at every ``step``."""

    low: float
    high: float
    step: float

    @property
    def ticks(self) -> list[float]:
        first = math.ceil(self.low / self.step - 1e-9)
        last = math.floor(self.high / self.step + 1e-9)
        return [number * self.step for number in range(first, last + 1)]

    def label(self, tick: float) -> str:
        if abs(tick) >= 1e7 or self.step < 1e-6:
            return f"{tick:.3g}"
        digits = max(0, -math.floor(math.log10(self.step) + 1e-9))
        text = f"{tick:.{digits}f}"
        return text.removeprefix("-") if float(text) == 0 else text


def scale_of(low: float, high: float, most: int = 5) -> Scale:
    """A scale with a little room above and below, and about ``most`` marks at 1, 2 or 5 times a power of ten."""
    if high - low <= abs(high) * 1e-9:
        half = abs(high) * 0.05 or 1.0
        low, high = low - half, high + half
    room = (high - low) * 0.08
    bottom = 0.0 if 0 <= low < room else low - room
    top = high + room
    return Scale(bottom, top, _nice((top - bottom) / most))


def _nice(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next((factor * power for factor in (1, 2, 5) if factor * power >= rough * 0.999), 10 * power)


def time_ticks(since: datetime, until: datetime, zone: tzinfo, most: int = 7) -> list[tuple[datetime, str]]:
    """Moments of ``zone``'s wall clock at even distances, with what to write under each."""
    begin, end = since.astimezone(zone), until.astimezone(zone)
    length = end - begin
    step = next((one for one in _STEPS_OF_TIME if length / one <= most), _STEPS_OF_TIME[-1])
    midnight = begin.replace(hour=0, minute=0, second=0, microsecond=0)
    at = midnight + math.ceil((begin - midnight) / step) * step
    found = []
    while at <= end:
        found.append((at, _said(at, step, length)))
        at += step
    return found


def _said(at: datetime, step: timedelta, length: timedelta) -> str:
    if step >= _DAY:
        return f"{at:%m-%d}"
    if length > _DAY and at.hour == at.minute == 0:
        return f"{at:%m-%d}"
    return f"{at:%H:%M}" if step >= timedelta(minutes=1) else f"{at:%H:%M:%S}"


def zone_name(at: datetime, zone: tzinfo) -> str:
    """``UTC``, or how far the wall clock is from it: ``UTC+08:00``."""
    offset = at.astimezone(zone).strftime("%z")
    return "UTC" if offset in ("", "+0000", "-0000") else f"UTC{offset[:3]}:{offset[3:5]}"


def unbroken(points: tuple[Point, ...], width: timedelta) -> list[list[Point]]:
    """The points in pieces: where readings are missing there is no line.

    They are missing where two points are much further from each other than usual.
    """
    if not points:
        return []
    distances = [(later.at - earlier.at).total_seconds() for earlier, later in pairwise(points)]
    longest = _GAP * max(median(distances), width.total_seconds()) if distances else 0.0
    pieces = [[points[0]]]
    for distance, point in zip(distances, points[1:], strict=True):
        if distance > longest:
            pieces.append([])
        pieces[-1].append(point)
    return pieces
