"""What the API says and takes about the policy."""

from datetime import datetime

from ninja import Schema

from webadmin.api.schemas import ProblemOut, TextIn


class PolicyIn(TextIn):
    """A policy file. ``expected``: the version that must still be in force, 0 for none."""

    expected: int | None = None


class PolicyBackIn(Schema):
    version: int
    expected: int | None = None


class PolicyAppliedOut(Schema):
    """``changed`` is false where exactly this was in force already."""

    layer: str
    version: int
    changed: bool


class PolicyVersionOut(Schema):
    layer: str
    version: int
    name: str
    digest: str
    author: str
    created_at: datetime


class PolicyTextOut(PolicyVersionOut):
    text: str


class PolicyInForceOut(PolicyTextOut):
    """``by`` put it in force at ``since``; ``author`` wrote it."""

    since: datetime
    by: str


class PolicyCaseOut(Schema):
    name: str
    decision: str
    rule: str


class PolicyCheckOut(Schema):
    """``cases`` are those of a file without problems: all of them come out as expected."""

    problems: list[ProblemOut]
    cases: list[PolicyCaseOut]
