"""Cron expressions, and when their local times happen in real time.

A *clock* expression names hours (``30 2 * * *``): a local time that a daylight-saving gap swallows fires
once, at the first instant after the gap; a local time that happens twice fires the first time only.
A *round the clock* expression leaves the hour open (``*/5 * * * *``): it fires at every instant whose local
time matches, so that it neither pauses nor bunches when the clocks change.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo

from cronsim import CronSim, CronSimError

from appliance.lib.errors import MillwrightError
from appliance.lib.said import say

_MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_FIELDS = "minute hour day-of-month month day-of-week"
_LONGEST = 200
_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)
_SOME_TIME = datetime(2026, 1, 1)
_LAST_WALL = datetime(9990, 1, 1)


class CronError(MillwrightError):
    code = "cron.invalid"


def normalise_cron(text: str) -> str:
    """The expression with single blanks and macros spelled out. Raises CronError."""
    expression = _MACROS.get(text.strip().lower(), " ".join(text.split()))
    count = len(expression.split())
    if len(expression) > _LONGEST:
        raise CronError(
            say("the cron expression is too long"),
            hint=say("%(longest)s characters at most", longest=_LONGEST),
        )
    if count == 6:
        raise CronError(
            say("%(expression)r has six fields", expression=expression),
            hint=say("cron has no seconds here: write five fields, or every: 10s"),
        )
    if count != 5:
        raise CronError(
            say("%(expression)r has %(count)s field(s), cron has five", expression=expression, count=count),
            hint=say("write %(fields)s, as in 0 6 * * 1-5", fields=_FIELDS),
        )
    try:
        next(CronSim(expression, _SOME_TIME))
    except CronSimError as error:
        bad = str(error).removeprefix("Bad ")
        raise CronError(
            say("%(expression)r has a bad %(bad)s field", expression=expression, bad=bad),
            hint=_EXPECTED.get(bad),
        ) from error
    except StopIteration:
        raise CronError(say("%(expression)r never happens", expression=expression)) from None
    return expression


_EXPECTED = {
    "minute": say("0 to 59, *, */5, 1-10 or a list"),
    "hour": say("0 to 23, *, */2, 8-17 or a list"),
    "day-of-month": say("1 to 31, *, L for the last day, or a list; the day must exist in that month"),
    "month": say("1 to 12, JAN to DEC, * or a list"),
    "day-of-week": say("0 to 7 (0 and 7 are Sunday), SUN to SAT, MON#1, 5L, * or a list"),
}


def cron_instants(expression: str, zone: tzinfo, after: datetime) -> Iterator[datetime]:
    """Every instant after ``after`` at which the expression is due in ``zone``, in UTC, ascending."""
    if len(CronSim(expression, _SOME_TIME).hours) == 24:
        return _round_the_clock(expression, zone, after)
    return _by_the_clock(expression, zone, after)


def _by_the_clock(expression: str, zone: tzinfo, after: datetime) -> Iterator[datetime]:
    last = after
    for wall in _walls(expression, after.astimezone(zone).replace(tzinfo=None)):
        instant = first_instant_of(wall, zone)
        if instant > last:  # several local times of one gap are one instant
            last = instant
            yield instant


def _round_the_clock(expression: str, zone: tzinfo, after: datetime) -> Iterator[datetime]:
    """Within a stretch of one UTC offset local time is plain arithmetic; go from stretch to stretch."""
    at = after.astimezone(UTC)
    offset = _offset(at, zone)
    wall = at.replace(tzinfo=None) + offset
    while True:
        change = None
        for due in _walls(expression, wall):
            instant = due.replace(tzinfo=UTC) - offset
            change = _next_change(at, instant, zone)
            if change is not None:
                break
            at = instant
            yield instant
        if change is None:
            return
        at, offset = change, _offset(change, zone)
        wall = change.replace(tzinfo=None) + offset - _SECOND


def _walls(expression: str, after: datetime) -> Iterator[datetime]:
    for wall in CronSim(expression, after):
        if wall > _LAST_WALL:
            return
        yield wall


def first_instant_of(wall: datetime, zone: tzinfo) -> datetime:
    """When the naive local time ``wall`` happens in ``zone``: the first of two, or the end of its gap."""
    instant = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == wall:
        return instant
    later_offset = wall.replace(tzinfo=zone, fold=1).utcoffset() or timedelta()
    before_gap = wall.replace(tzinfo=UTC) - later_offset - _SECOND
    return _next_change(before_gap, instant, zone) or instant


def _offset(at: datetime, zone: tzinfo) -> timedelta:
    return at.astimezone(zone).utcoffset() or timedelta()


def _next_change(after: datetime, until: datetime, zone: tzinfo) -> datetime | None:
    """The first instant in (after, until] with another UTC offset than ``after``, to the second."""
    if zone is UTC:
        return None
    offset, low = _offset(after, zone), after
    while low < until:
        high = min(low + _DAY, until)
        if _offset(high, zone) != offset:
            break
        low = high
    else:
        return None
    low = low.replace(microsecond=0)
    while high - low > _SECOND:
        middle = (low + (high - low) / 2).replace(microsecond=0)
        middle = max(middle, low + _SECOND)
        low, high = (low, middle) if _offset(middle, zone) != offset else (middle, high)
    return high.replace(microsecond=0)
