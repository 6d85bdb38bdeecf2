"""What the API says and takes about tasks."""

from datetime import datetime
from typing import Any

from ninja import Schema
from pydantic import Field

from webadmin.api.schemas import ProblemOut


class AppliedOut(Schema):
    name: str
    version: int
    change: str
    warnings: list[ProblemOut] = []


class TriggerOut(Schema):
    id: str
    kind: str
    next_due: datetime | None
    last_fired_at: datetime | None
    fired: int
    refused: int
    failed: int


class TaskOut(Schema):
    name: str
    enabled: bool
    version: int | None
    description: str
    triggers: list[TriggerOut]


class TaskTextOut(TaskOut):
    """``lane`` is where runs that a message starts are performed, and ``lane_reason`` says why."""

    lane: str
    lane_reason: str
    text: str
    definition: dict[str, Any]


class TasksOut(Schema):
    """``next`` is the ``after`` of the page that follows."""

    items: list[TaskOut]
    next: str | None


class SwitchIn(Schema):
    enabled: bool


class RunIn(Schema):
    """Names and values that the run's expressions see."""

    inputs: dict[str, Any] = Field(default_factory=dict)
