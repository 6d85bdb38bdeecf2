"""What the API says and takes about the box: its parts, what happened, the all-stop, the network."""

from datetime import datetime
from typing import Any

from ninja import Schema
from pydantic import Field

from appliance.lib.config import Durability
from appliance.safety.allstop import Level


class EventOut(Schema):
    cursor: str
    at: datetime
    type: str
    subject: str
    data: dict[str, Any]


class EventsOut(Schema):
    """Ask again with ``after=cursor``; at once while ``more`` is true."""

    cursor: str
    more: bool
    events: list[EventOut]


class PartOut(Schema):
    """``required``: the box is ready only with it."""

    healthy: bool
    message: str
    required: bool


class CutOut(Schema):
    """What is cut from level ``cut`` on; ``lacking``: why the kernel does not cut the network of commands."""

    sending: bool = True
    commands: bool
    lacking: str


class StopOut(Schema):
    level: str
    epoch: int
    by: str
    reason: str
    since: datetime | None
    cut: CutOut | None = None


class PlatformLiveOut(Schema):
    """A chat platform that is switched on. ``hears`` is false for one that is deaf; ``answered_at`` and
    ``round_trip_ms`` are of its last round trip that came back."""

    name: str
    state: str
    hears: bool
    message: str
    deaf_since: datetime | None
    checked_at: datetime | None
    answered_at: datetime | None
    round_trip_ms: float | None
    messages_waiting: int


class StatusOut(Schema):
    ready: bool
    durability: Durability
    parts: dict[str, PartOut]
    platforms: list[PlatformLiveOut]
    runs: dict[str, int]
    allstop: StopOut


class StopIn(Schema):
    level: Level = Level.KILL
    reason: str = Field("", max_length=500)


class TargetOut(Schema):
    """Something that the box has to do with; ``state`` is up, down or unknown."""

    name: str
    kind: str
    place: str
    state: str
    since: datetime
    checked_at: datetime | None
    reason: str
    round_trip_ms: float | None
    outages: int


class NetworkOut(Schema):
    """``condition`` is online, degraded or offline; ``fresh`` is false while nobody looks."""

    condition: str
    since: datetime | None
    fresh: bool
    note: str
    interfaces: list[str]
    default_route: bool
    names_found: bool | None
    targets: list[TargetOut]
