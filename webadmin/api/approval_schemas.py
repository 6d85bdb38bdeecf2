"""What the API says and takes about approvals."""

from datetime import datetime
from typing import Any
from uuid import UUID

from ninja import Schema
from pydantic import Field

from appliance.safety.approvals.domain import Choice


class ApprovalOut(Schema):
    """Something that waits for a person's word, or had it. ``shown`` is exactly what would be done.

    ``issuer`` made the token that asked ("?": nobody knows); ``minted_by`` the one-time code, where there was one.
    """

    id: UUID
    code: str
    state: str
    purpose: str
    run_id: UUID
    task: str
    step: str
    attempt: int
    kind: str
    shown: str
    reason: str
    rule: str
    policy: str
    digest: str
    states: dict[str, Any]
    requested_by: str
    issuer: str
    approvers: str
    names: list[str]
    needed: int
    given: int
    created_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    decided_by: str
    way: str
    minted_by: str
    decision_reason: str
    closed_because: str


class ApprovalsOut(Schema):
    items: list[ApprovalOut]
    next: UUID | None


class DecisionIn(Schema):
    """``approve`` or ``deny``, and why."""

    decision: Choice
    reason: str = Field("", max_length=500)
