"""What the API says and takes about the audit record and its alerts."""

from datetime import datetime
from typing import Any

from ninja import Schema

from webadmin.api.schemas import ProblemOut, TextIn


class RecordOut(Schema):
    seq: int
    at: datetime
    kind: str
    principal: str
    subject: str
    detail: dict[str, Any]


class RecordsOut(Schema):
    """``next`` is the ``before`` of the following page; where it stands although fewer than ``limit`` were found, the
    search looked at as many records as one page may."""

    items: list[RecordOut]
    next: int | None


class AuditKeyOut(Schema):
    """The public key that signs the record and its exports: hex, PEM, and what people compare by eye."""

    key: str
    pem: str
    fingerprint: str


class AlertOut(Schema):
    """``open``: further records of the same rule are gathered into it."""

    id: int
    rule: str
    version: int
    severity: str
    reason: str
    kind: str
    principal: str
    subject: str
    first_seq: int
    last_seq: int
    count: int
    messages: int
    opened_at: datetime
    last_at: datetime
    open: bool


class RulesIn(TextIn):
    """A file of alert rules. ``expected``: the version that must still be in force, 0 for none."""

    expected: int | None = None


class RulesBackIn(Schema):
    version: int
    expected: int | None = None


class RulesAppliedOut(Schema):
    """``changed`` is false where exactly this was in force already."""

    version: int
    changed: bool


class RulesVersionOut(Schema):
    number: int
    name: str
    digest: str
    author: str
    created_at: datetime


class RulesTextOut(Schema):
    """``version`` 0: the rules that the box came with."""

    version: int
    text: str


class RulesCaseOut(Schema):
    name: str
    alerts: list[str]


class RulesCheckOut(Schema):
    """``cases`` are those of a file without problems: all of them come out as expected."""

    problems: list[ProblemOut]
    cases: list[RulesCaseOut]
