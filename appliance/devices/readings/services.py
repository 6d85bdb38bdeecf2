"""What is known of readings: how they went, in no more points than somebody can look at."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import connection as django_connection
from psycopg import AsyncConnection

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.devices.errors import ReadingsRefused
from appliance.devices.readings import sql
from appliance.devices.readings.domain import ITSELF, Point, Series, is_path, paths_to_ask

MOST_POINTS = 2_000
LONGEST = timedelta(days=400)
_FINEST = timedelta(seconds=1)


def between(topic: str, path: str, since: datetime, until: datetime, most: int, by: Principal) -> Series:
    """The readings of ``topic`` (a place) after ``since`` up to ``until``, in ``most`` points or one more.

    Raises NotAllowed, ReadingsRefused.
    """
    by.require(Ability.VIEW)
    asked = _asked(topic, path, since, until, most)
    with django_connection.cursor() as cursor:
        cursor.execute(sql.BETWEEN, asked)
        points = cursor.fetchall()
        cursor.execute(sql.LAST, asked)
        return _series(asked, path, points, cursor.fetchone())


async def read(
    connection: AsyncConnection[Any], topic: str, path: str, since: datetime, until: datetime, most: int
) -> Series:
    """As ``between``, for the box itself. Raises ReadingsRefused."""
    asked = _asked(topic, path, since, until, most)
    points = await (await connection.execute(sql.BETWEEN, asked)).fetchall()
    last = await (await connection.execute(sql.LAST, asked)).fetchone()
    return _series(asked, path, points, last)


def _asked(topic: str, path: str, since: datetime, until: datetime, most: int) -> dict[str, Any]:
    if path != ITSELF and not is_path(path):
        raise ReadingsRefused(f"{path[:80]!r} is no path", hint="names with dots between, as in motor.temp")
    if not timedelta() < until - since <= LONGEST:
        raise ReadingsRefused("since is before until", hint=f"at most {LONGEST.days} days")
    if not 0 < most <= MOST_POINTS:
        raise ReadingsRefused(f"between 1 and {MOST_POINTS} points")
    return {
        "topic": topic,
        "paths": list(paths_to_ask(path)),
        "since": since,
        "until": until,
        "width": max((until - since) / most, _FINEST),
    }


def _series(
    asked: dict[str, Any], path: str, points: Iterable[tuple[Any, ...]], last: tuple[Any, ...] | None
) -> Series:
    value, at = last or (None, None)
    return Series(
        topic=asked["topic"],
        path=path,
        since=asked["since"],
        until=asked["until"],
        width=asked["width"],
        points=tuple(Point(*point) for point in points),
        last=value,
        last_at=at,
    )
