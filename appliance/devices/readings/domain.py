"""Which numbers of a message are readings, and what is known of them over a stretch of time. Pure."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from appliance.lib.jsontypes import JsonValue

ITSELF = ""
"""The path of a payload that is a bare number."""
USUAL = (ITSELF, "value")
"""Where a number is looked for when nobody says where: the payload itself, or its ``value``."""
MOST_NUMBERS = 20
"""Numbers that are taken of one payload where nobody names them."""
LONGEST_PATH = 200

_PATH = re.compile(r"[^\s.{}\x00]+(\.[^\s.{}\x00]+)*")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be recorded: the number at ``path`` of what comes on ``filter`` of a broker.

    ``path`` empty: where numbers usually are (`USUAL`). None: every number that stands at the top of a payload.
    """

    filter: str
    path: str | None = ITSELF
    broker: str = ""


@dataclass(frozen=True, slots=True)
class Point:
    """A stretch of readings taken together: when it begins, the least, the mean, the greatest."""

    at: datetime
    low: float
    mean: float
    high: float


@dataclass(frozen=True, slots=True)
class Series:
    """The readings of one topic after ``since`` up to ``until``, in at most so many points of ``width`` each.

    ``topic`` is a place (`bus.places`). ``last`` is the last reading itself, none where there are no readings.
    """

    topic: str
    path: str
    since: datetime
    until: datetime
    width: timedelta
    points: tuple[Point, ...]
    last: float | None = None
    last_at: datetime | None = None

    @property
    def low(self) -> float:
        """Raises ValueError where there are no readings."""
        return min(point.low for point in self.points)

    @property
    def high(self) -> float:
        """Raises ValueError where there are no readings."""
        return max(point.high for point in self.points)


def is_path(text: str) -> bool:
    """Whether it can name a number in a payload: names and positions with dots between, as ``motor.temps.0``."""
    return len(text) <= LONGEST_PATH and _PATH.fullmatch(text) is not None


def paths_to_ask(path: str) -> tuple[str, ...]:
    """Under which paths the readings lie that somebody asks for."""
    return USUAL if path == ITSELF else (path,)


def numbers_of(value: JsonValue, path: str | None) -> Iterator[tuple[str, float]]:
    """The readings in a payload, each with the path under which it is kept."""
    if path is None:
        yield from _all_of(value)
    elif path == ITSELF:
        yield from _usual_of(value)
    else:
        number = as_number(_at(value, path))
        if number is not None:
            yield path, number


def as_number(value: JsonValue) -> float | None:
    """A finite number, or None. True and false are none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _usual_of(value: JsonValue) -> Iterator[tuple[str, float]]:
    found, where = (value.get("value"), USUAL[1]) if isinstance(value, dict) else (value, ITSELF)
    number = as_number(found)
    if number is not None:
        yield where, number


def _all_of(value: JsonValue) -> Iterator[tuple[str, float]]:
    if not isinstance(value, dict):
        yield from _usual_of(value)
        return
    found = 0
    for name, inside in value.items():
        number = as_number(inside) if is_path(name) and "." not in name else None
        if number is not None and found < MOST_NUMBERS:
            found += 1
            yield name, number


def _at(value: JsonValue, path: str) -> JsonValue:
    for name in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(name)
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value
