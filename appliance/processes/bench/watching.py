"""What the browser of the bench is told, and what it takes from a message of ``/ws/live``."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Watching:
    host: str
    port: int
    cookie: str
    seconds: float


def latencies_of(message: dict[str, Any], now: float) -> list[float]:
    """The age in ms, at ``now`` (POSIX seconds), of each run's success that a message of ``/ws/live`` tells of."""
    return [
        (now - datetime.fromisoformat(event["at"]).timestamp()) * 1000
        for event in message.get("events", [])
        if event["type"] == "run.changed" and event["data"]["state"] == "succeeded"
    ]
