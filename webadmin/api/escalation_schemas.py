"""What the API says about escalations."""

from datetime import datetime
from uuid import UUID

from ninja import Schema


class StageOut(Schema):
    """Who is told ``after`` so many seconds without an answer; without receivers it is the end."""

    after: float
    to: list[str]


class EscalationOut(Schema):
    """Something that somebody has to acknowledge, or has. ``stage`` of its ``stages`` have been told."""

    id: UUID
    code: str
    state: str
    title: str
    text: str
    about: str
    task: str
    run_id: UUID | None
    step_id: str
    alert_id: int | None
    stages: list[StageOut]
    stage: int
    next_at: datetime | None
    opened_at: datetime
    settled_at: datetime | None
    settled_by: str
    way: str


class EscalationsOut(Schema):
    items: list[EscalationOut]
    next: UUID | None
