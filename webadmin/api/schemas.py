"""What the API takes and gives."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from ninja import Schema
from pydantic import Field

from appliance.lib.config import Durability
from appliance.safety.allstop import Level

Limit = Annotated[int, Field(ge=1, le=200)]
"""Rows of one page."""


class ErrorOut(Schema):
    """``code`` is stable; ``message`` and ``hint`` are for people."""

    code: str
    message: str
    hint: str = ""


class ProblemOut(Schema):
    """One problem of a task file; lines and columns count from 1."""

    file: str
    line: int
    column: int
    path: str
    message: str
    expected: str
    hint: str


class ProblemsOut(Schema):
    problems: list[ProblemOut]


class TextIn(Schema):
    """A task file."""

    text: str = Field(max_length=1024 * 1024)


class AppliedOut(Schema):
    name: str
    version: int
    change: str


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


class RunStartedOut(Schema):
    run_id: UUID


class CalendarEntryOut(Schema):
    """``state``: ran, missed, skipped, suppressed or planned. A missed one with a run was made up for."""

    at: datetime
    task: str
    trigger: str
    state: str
    reason: str
    run_id: UUID | None


class CalendarOut(Schema):
    """In the order of time; ``next`` is the ``after`` of the page that follows."""

    items: list[CalendarEntryOut]
    next: str | None


class RunOut(Schema):
    id: UUID
    task: str
    version: int | None
    state: str
    waiting_for: str
    reason: str
    warning: str
    principal: str
    origin: str
    trigger: str
    lane: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class RunDetailOut(RunOut):
    inputs: dict[str, Any]
    recoveries: int
    forked_from: UUID | None
    parent_run_id: UUID | None
    wake_at: datetime | None
    deadline: datetime | None


class RunsOut(Schema):
    """Newest first; ``next`` is the ``before`` of the page that follows."""

    items: list[RunOut]
    next: UUID | None


class StepOut(Schema):
    step: str
    attempt: int
    position: int
    phase: str
    kind: str
    effect: str
    state: str
    input: Any
    output: Any
    detail: Any
    stderr: str
    error: str
    started_at: datetime
    finished_at: datetime | None


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


class BrokerIn(Schema):
    """A broker beside the box's own. ``password`` is ``secret:NAME``; ``ca`` the path of a PEM file on the box."""

    url: str = Field(max_length=500)
    username: str = ""
    password: str = ""
    ca: str = ""
    verify: bool = True
    client_id: str = ""
    filters: list[str] = Field(default_factory=list)
    prefix: str = ""
    enabled: bool = True


class BrokerOut(BrokerIn):
    name: str
    healthy: bool | None
    """None while it is switched off."""
    message: str


class RoundTripOut(Schema):
    seconds: float


class StopOut(Schema):
    level: str
    epoch: int
    by: str
    reason: str
    since: datetime | None


class StatusOut(Schema):
    ready: bool
    durability: Durability
    parts: dict[str, PartOut]
    runs: dict[str, int]
    allstop: StopOut


class StopIn(Schema):
    level: Level = Level.KILL
    reason: str = Field("", max_length=500)


class ReasonIn(Schema):
    reason: str = Field("", max_length=500)
