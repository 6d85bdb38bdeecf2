"""The history of readings over HTTP."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from appliance.accounts.domain import Ability
from appliance.devices.readings.domain import ITSELF
from appliance.devices.readings.services import MOST_POINTS, between
from webadmin.api.auth import caller

router = Router(tags=["readings"])

AN_HOUR = timedelta(hours=1)


class Asked(Schema):
    """Of a topic (``broker#topic`` where it is not on the box's own): the last hour, where nothing else is said.
    Times without an offset are UTC."""

    topic: Annotated[str, Field(min_length=1, max_length=1100)]
    path: str = ITSELF
    since: datetime | None = None
    until: datetime | None = None
    points: Annotated[int, Field(ge=1, le=MOST_POINTS)] = 300


class PointOut(Schema):
    at: datetime
    low: float
    mean: float
    high: float


class ReadingsOut(Schema):
    topic: str
    path: str
    since: datetime
    until: datetime
    width: float
    """Seconds that a point stands for."""
    last: float | None
    last_at: datetime | None
    points: list[PointOut]


@router.get("", response=ReadingsOut, summary="How the readings of a topic went")
def readings(request: HttpRequest, asked: Query[Asked]) -> ReadingsOut:
    by = caller(request, Ability.VIEW).principal
    until = _utc(asked.until) if asked.until else datetime.now(UTC)
    since = _utc(asked.since) if asked.since else until - AN_HOUR
    topic, path = (text.replace("\x00", "") for text in (asked.topic, asked.path))
    found = between(topic, path, since, until, asked.points, by)
    return ReadingsOut(
        topic=found.topic,
        path=found.path,
        since=found.since,
        until=found.until,
        width=found.width.total_seconds(),
        last=found.last,
        last_at=found.last_at,
        points=[PointOut(at=one.at, low=one.low, mean=one.mean, high=one.high) for one in found.points],
    )


def _utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at
