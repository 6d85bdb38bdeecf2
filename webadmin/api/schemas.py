"""What the API takes and gives in more than one room, and of rooms that have only a few shapes."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from ninja import Schema
from pydantic import Field

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
    """``warnings`` keep nobody from applying the file: what is probably not meant on this box."""

    problems: list[ProblemOut]
    warnings: list[ProblemOut] = []


class TextIn(Schema):
    """A task file."""

    text: str = Field(max_length=1024 * 1024)


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


class ReasonIn(Schema):
    reason: str = Field(min_length=1, max_length=500)
