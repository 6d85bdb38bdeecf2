"""Durations as people write them: ``30s``, ``5m``, ``1h30m``, ``2d``."""

import re
from datetime import timedelta

from appliance.lib.errors import MillwrightError
from appliance.lib.said import say

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|d|w)")
_WHOLE = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?\s*(?:ms|s|m|h|d|w)\s*)+")


class DurationError(MillwrightError):
    code = "duration.invalid"


def parse_duration(value: object) -> timedelta:
    """A duration from text (``1h30m``) or from a number of seconds; never negative.

    Raises DurationError with what was expected.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e10:
        return timedelta(seconds=value)
    text = value.strip().lower() if isinstance(value, str) else ""
    if text and len(text) <= 40 and _WHOLE.fullmatch(text):
        seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
        if seconds < 1e10:
            return timedelta(seconds=seconds)
    raise DurationError(
        say("%(value)r is not a duration", value=value),
        hint=say("write 30s, 5m, 1h30m or a number of seconds"),
    )


def format_duration(length: timedelta) -> str:
    """The shortest text that :func:`parse_duration` reads back."""
    seconds = length.total_seconds()
    if seconds != int(seconds):
        return f"{round(seconds * 1000)}ms"
    rest, parts = int(seconds), []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
