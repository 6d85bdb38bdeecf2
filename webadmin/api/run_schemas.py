"""What the API says and takes about runs."""

from datetime import datetime
from typing import Any
from uuid import UUID

from ninja import Schema
from pydantic import Field


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


class DeliveryOut(Schema):
    """A message of a step on its way, or what became of it. ``to`` is empty where the platform's own conversation is
    meant; ``message_ids`` are the platform's; ``repeat_possible``: people may see it twice."""

    id: UUID
    step: str
    platform: str
    to: str
    state: str
    reason: str
    note: str
    attempts: int
    repeat_possible: bool
    message_ids: list[str]
    created_at: datetime
    next_at: datetime | None
    expires_at: datetime
    delivered_at: datetime | None


class RunDetailOut(RunOut):
    deliveries: list[DeliveryOut]
    findings: list[FindingOut]
    judged_as: list[str] = Field(
        description="the origins that the policy judges it by: its own, and those of what led to it"
    )
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
    """A step that is done as shards. ``counts`` has every state that any shard is in; ``taken_over`` of them were
    done by the run ``taken_from``, which this one goes on from."""

    step: str
    attempt: int
    total: int
    expanding: bool
    outcome: str
    reason: str
    counts: dict[str, int]
    taken_over: int
    taken_from: UUID | None


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
