"""Lock-outs, maintenance windows and budgets over HTTP."""

from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest
from ninja import Router, Schema, Status
from pydantic import Field

from appliance.accounts.domain import Ability
from appliance.safety.budgets.model import Then
from appliance.safety.budgets.shown import uses
from appliance.safety.plant_state import services
from appliance.safety.plant_state.domain import Scope, Window
from appliance.safety.plant_state.models import LockOutRow
from appliance.safety.plant_state.services import Hours
from webadmin.api.auth import caller
from webadmin.api.schemas import ReasonIn

router = Router(tags=["safety"])


class LockOutIn(Schema):
    """``pattern``: the device, the task, or a topic filter; nothing for the box."""

    scope: Scope
    pattern: str = Field("", max_length=300)
    reason: str = Field(min_length=1, max_length=500)
    then: Then = Then.DENY


class LockOutOut(Schema):
    id: int
    scope: str
    pattern: str
    then: str
    by: str
    reason: str
    since: datetime
    ended_at: datetime | None
    ended_by: str
    ended_reason: str


class WindowIn(Schema):
    """With ``days``: every week, ``begin`` and ``end`` are times of day. Without: once, they are dates with times."""

    name: str = Field(max_length=60)
    scope: Scope
    pattern: str = Field("", max_length=300)
    days: list[str] = []
    begin: str
    end: str
    zone: str = "UTC"
    then: Then = Then.HOLD
    reason: str = Field("", max_length=500)


class WindowOut(Schema):
    name: str
    scope: str
    pattern: str
    then: str
    reason: str
    weekly: dict[str, Any] | None
    begins: datetime | None
    ends: datetime | None
    on: bool


class BudgetOut(Schema):
    """One amount of one budget; ``whose`` is the task or principal that it is counted for."""

    rule: str
    whose: str
    what: str
    used: float
    most: float | None
    per: str
    then: str


@router.get("/lockouts", response=list[LockOutOut], summary="What is locked out, by whom and why")
def list_lockouts(request: HttpRequest) -> list[LockOutRow]:
    caller(request, Ability.VIEW)
    return services.lockouts()


@router.post("/lockouts", response=LockOutOut, summary="Lock something out")
def lock_out(request: HttpRequest, body: LockOutIn) -> LockOutRow:
    by = caller(request, Ability.STOP_ALL).principal
    return services.lock_out(body.scope, body.pattern, body.reason, by, datetime.now(UTC), body.then)


@router.post("/lockouts/{number}/end", response=LockOutOut, summary="Give back what was locked out")
def give_back(request: HttpRequest, number: int, body: ReasonIn) -> LockOutRow:
    """Whoever locked it out does, or an administrator; a token needs the scope `release_stop`, too."""
    by = caller(request, Ability.STOP_ALL).principal
    return services.give_back(number, body.reason, by, datetime.now(UTC))


@router.get("/windows", response=list[WindowOut], summary="Maintenance that is planned")
def list_windows(request: HttpRequest) -> list[WindowOut]:
    caller(request, Ability.VIEW)
    now = datetime.now(UTC)
    return [_window(one, now) for one in services.windows()]


@router.post("/windows", response=list[WindowOut], summary="Plan maintenance")
def plan(request: HttpRequest, body: WindowIn) -> list[WindowOut]:
    by, now = caller(request, Ability.EDIT_TASKS).principal, datetime.now(UTC)
    if body.days:
        hours = Hours.of_week(body.days, body.begin, body.end, body.zone)
    else:
        hours = Hours.once(body.begin, body.end, body.zone)
    services.plan(body.name, body.scope, body.pattern, hours, by, now, reason=body.reason, then=body.then)
    return [_window(one, now) for one in services.windows()]


@router.delete("/windows/{name}", response={204: None}, summary="Remove a window")
def remove(request: HttpRequest, name: str) -> Status[None]:
    services.remove(name, caller(request, Ability.EDIT_TASKS).principal, datetime.now(UTC))
    return Status(204, None)


@router.get("/budgets", response=list[BudgetOut], summary="Budgets, and what is spent of them")
def budgets(request: HttpRequest) -> list[Any]:
    caller(request, Ability.VIEW)
    return list(uses(datetime.now(UTC)))


def _window(one: Window, now: datetime) -> WindowOut:
    return WindowOut(
        name=one.name,
        scope=one.target.scope.value,
        pattern=one.target.pattern,
        then=one.then.value,
        reason=one.reason,
        weekly=one.weekly.model_dump(mode="json", by_alias=True) if one.weekly else None,
        begins=one.begins,
        ends=one.ends,
        on=one.is_on(now),
    )
