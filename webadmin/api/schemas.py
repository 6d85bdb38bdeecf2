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
    """One problem of a file; lines and columns count from 1."""

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
    amber: bool
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class FindingOut(Schema):
    """What a step did, or tried, that its task does not declare, in sentences."""

    step: str
    attempt: int
    words: list[str]
    at: datetime


class RunDetailOut(RunOut):
    findings: list[FindingOut]
    inputs: dict[str, Any]
    recoveries: int
    forked_from: UUID | None
    forked_at_step: str
    parent_run_id: UUID | None
    wake_at: datetime | None
    deadline: datetime | None


class RunsOut(Schema):
    """Newest first; ``next`` is the ``before`` of the page that follows."""

    items: list[RunOut]
    next: UUID | None


class ResumeIn(Schema):
    """Where to go on: from a step, from a kept checkpoint, or, with neither, where the run stopped."""

    step: str = ""
    checkpoint: int | None = None
    vars: dict[str, Any] | None = Field(default=None, description="for the steps from there on")
    repeat_unsafe: bool = Field(
        default=False, description="do again what took effect, or may have, and is not safe to repeat"
    )


class CheckpointOut(Schema):
    """A kept state of a step; ``number`` counts within the run."""

    number: int
    step: str
    attempt: int
    form: str
    size: int
    digest: str
    created_at: datetime


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
    shared_from: UUID | None
    started_at: datetime
    finished_at: datetime | None


class OutboxItemOut(Schema):
    """``place`` in its target's line: 1 is next, 100 stands for 100 and more, null when it is over."""

    id: UUID
    platform: str
    conversation: str | None
    state: str
    place: int | None
    reason: str
    attempts: int
    repeat_possible: bool
    run_id: UUID | None
    step_id: str
    next_at: datetime | None
    expires_at: datetime
    created_at: datetime
    finished_at: datetime | None


class OutboxOut(Schema):
    """Newest first; ``next`` is the ``before`` of the page that follows."""

    items: list[OutboxItemOut]
    next: UUID | None


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
    reason: str = Field(min_length=1, max_length=500)


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
