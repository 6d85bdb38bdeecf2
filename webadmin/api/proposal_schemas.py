"""What the API says and takes about tasks that agents propose."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from ninja import Schema
from pydantic import Field


class ProposalOut(Schema):
    """``base`` is the version that it was made from (0: there was no such task), ``ceiling`` the most that the task may
    do, ``version`` what it became."""

    id: UUID
    task: str
    base: int
    ceiling: str
    why: str
    run_id: UUID
    step: str
    by_task: str
    principal: str
    created_at: datetime
    state: str
    decided_by: str
    decided_at: datetime | None
    decided_why: str
    version: int | None


class ProposalTextOut(ProposalOut):
    """``before`` is the text in force, of version ``in_force``; ``moved``: that is not what it was made from."""

    text: str
    before: str
    in_force: int
    moved: bool


class ProposalsOut(Schema):
    items: list[ProposalOut]
    next: UUID | None


class RejectIn(Schema):
    reason: Annotated[str, Field(max_length=500)] = ""
