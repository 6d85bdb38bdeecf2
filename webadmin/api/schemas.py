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


class SplitOut(Schema):
    """A step that is done as shards. ``counts`` has every state that any shard is in."""

    step: str
    attempt: int
    total: int
    expanding: bool
    outcome: str
    reason: str
    counts: dict[str, int]


class ShardOut(Schema):
    run_id: UUID
    shard: int
    state: str
    waiting_for: str
    reason: str
    item: Any
    branch: str | None
    started_at: datetime | None
    finished_at: datetime | None


class ShardsOut(Schema):
    """``next`` is the ``after`` of the page that follows."""

    splits: list[SplitOut]
    items: list[ShardOut]
    next: int | None


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
    healthy: bool
    message: str


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
