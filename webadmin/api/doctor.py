"""The doctor over HTTP: what it found last, and another look."""

from datetime import UTC, datetime

from django.http import HttpRequest
from ninja import Router, Schema

from appliance.accounts.domain import Ability
from appliance.ops import services
from webadmin.api.auth import caller

router = Router(tags=["doctor"])


class CheckOut(Schema):
    """One check. ``outcome``: good, problem, unknown (not looked at from here) or absent; ``found`` is what was seen,
    ``fix`` what mends a problem."""

    id: str
    field: str
    title: str
    severity: str
    outcome: str
    found: str
    fix: str


class ExaminationOut(Schema):
    """``at`` is null where nobody has looked yet. ``serious``: problems of the severity high."""

    at: datetime | None
    by: str
    serious: int
    checks: list[CheckOut]


@router.get("", response=ExaminationOut, summary="What the doctor found when it looked last")
def last_examination(request: HttpRequest) -> ExaminationOut:
    caller(request, Ability.EXAMINE)
    return _last()


@router.post("/look", response=ExaminationOut, summary="Let the doctor look at the box now")
def look(request: HttpRequest) -> ExaminationOut:
    """Answers when it is done: some seconds where a part is away. 429 within ten seconds of the last look."""
    services.look(caller(request, Ability.EXAMINE).principal, datetime.now(UTC))
    return _last()


def _last() -> ExaminationOut:
    row = services.last()
    if row is None:
        return ExaminationOut(at=None, by="", serious=0, checks=[])
    found = [CheckOut.model_validate(one) for one in row.findings]
    return ExaminationOut(at=row.at, by=row.by, serious=row.serious, checks=found)
