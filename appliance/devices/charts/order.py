"""A chart on its way to the process that draws it: what to show, and the readings."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from appliance.devices.charts.domain import ChartSpec
from appliance.devices.readings.domain import Point, Series


def write_order(spec: ChartSpec, lines: Sequence[Series]) -> bytes:
    return json.dumps({"chart": spec.to_json(), "lines": [_line(one) for one in lines]}).encode()


def read_order(text: bytes) -> tuple[ChartSpec, list[Series]]:
    """What `write_order` wrote."""
    given = json.loads(text)
    spec = ChartSpec.from_json(given["chart"])
    return spec, [_series(spec, one) for one in given["lines"]]


def _line(line: Series) -> dict[str, Any]:
    points = [[one.at.timestamp(), one.low, one.mean, one.high] for one in line.points]
    last_at = line.last_at.timestamp() if line.last_at else None
    return {
        "topic": line.topic,
        "path": line.path,
        "width": line.width.total_seconds(),
        "points": points,
        "last": line.last,
        "last_at": last_at,
    }


def _series(spec: ChartSpec, given: dict[str, Any]) -> Series:
    points = [Point(_at(at), low, mean, high) for at, low, mean, high in given["points"]]
    return Series(
        topic=given["topic"],
        path=given["path"],
        since=spec.since,
        until=spec.until,
        width=timedelta(seconds=given["width"]),
        points=tuple(points),
        last=given["last"],
        last_at=_at(given["last_at"]) if given["last_at"] is not None else None,
    )


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
