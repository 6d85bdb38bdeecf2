"""``readings.query``: how the numbers of a topic went."""

from typing import Annotated

from pydantic import Field

from appliance.agent.tools.contract import Arguments, Asking, QueryTool
from appliance.devices.readings.services import between
from appliance.lib.duration import parse_duration
from appliance.lib.jsontypes import JsonValue


class ReadingsQueryArguments(Arguments):
    topic: str
    """The MQTT topic."""
    path: str = ""
    """Where the number stands in the payload, as motor.temp; empty where it is the payload or its value."""
    last: str = "1h"
    """How far back, as 30m, 1h or 7d."""
    points: Annotated[int, Field(ge=1, le=60)] = 20
    """In how many points."""


class ReadingsQueryTool(QueryTool[ReadingsQueryArguments]):
    name = "readings.query"
    says = "Read how a measured value went: least, mean and greatest over time."
    arguments = ReadingsQueryArguments
    example = {"topic": "plant/line1/temp", "last": "1h"}

    def answer(self, given: ReadingsQueryArguments, asking: Asking) -> JsonValue:
        since = asking.now - parse_duration(given.last)
        found = between(given.topic, given.path, since, asking.now, given.points, asking.by)
        points: list[JsonValue] = [
            [f"{one.at:%Y-%m-%dT%H:%M:%SZ}", one.low, round(one.mean, 4), one.high] for one in found.points
        ]
        return {
            "topic": found.topic,
            "columns": ["at", "low", "mean", "high"],
            "points": points,
            "last": found.last,
            "last_at": found.last_at.isoformat() if found.last_at else None,
        }
