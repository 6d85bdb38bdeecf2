"""The audit record over HTTP: search, the key, alerts and their rules."""

from datetime import UTC, datetime
from typing import Annotated

from django.http import HttpRequest
from ninja import Router
from pydantic import Field

from appliance.accounts.domain import Ability
from appliance.alerts import services
from appliance.alerts.errors import RulesRefused
from appliance.alerts.loading import SHIPPED
from appliance.audit.heads import fingerprint, pem_of
from appliance.audit.search import Search, search
from appliance.audit.services import trusted_key
from appliance.lib.config import get_config
from appliance.runs.rules_console import alert_json
from webadmin.api.audit_schemas import (
    AlertOut,
    AuditKeyOut,
    RecordOut,
    RecordsOut,
    RulesAppliedOut,
    RulesBackIn,
    RulesCaseOut,
    RulesCheckOut,
    RulesIn,
    RulesTextOut,
    RulesVersionOut,
)
from webadmin.api.auth import caller
from webadmin.api.schemas import Limit, ProblemOut, TextIn

router = Router(tags=["audit"])
Number = Annotated[int | None, Field(ge=1, lt=2**63)]
Words = Annotated[str, Field(max_length=200, pattern=r"^[^\x00]*$")]


@router.get("", response=RecordsOut, summary="Search the audit record, newest first")
def search_audit(
    request: HttpRequest,
    since: datetime | None = None,
    until: datetime | None = None,
    kind: Words = "",
    principal: Words = "",
    about: Words = "",
    text: Words = "",
    before: Number = None,
    limit: Limit = 50,
) -> RecordsOut:
    """``kind`` and ``principal`` may hold ``*``; ``about`` is a run, a task, a device or any other subject."""
    caller(request, Ability.VIEW_AUDIT)
    wanted = Search(_aware(since), _aware(until), kind, principal, about, text)
    found = search(wanted, before, limit)
    return RecordsOut(items=[RecordOut.from_orm(one) for one in found.records], next=found.next)


def _aware(at: datetime | None) -> datetime | None:
    return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at


@router.get("/key", response=AuditKeyOut, summary="The public key that signs the record")
def audit_key(request: HttpRequest) -> AuditKeyOut:
    caller(request, Ability.VIEW_AUDIT)
    key = trusted_key(get_config().home.path)
    return AuditKeyOut(key=key.hex(), pem=pem_of(key).decode(), fingerprint=fingerprint(key))


@router.get("/alerts", response=list[AlertOut], summary="Alerts, newest first")
def list_alerts(
    request: HttpRequest, rule: Words = "", before: Number = None, limit: Limit = 50
) -> list[AlertOut]:
    """``before`` is the id of the last one of the page above."""
    caller(request, Ability.VIEW_AUDIT)
    return [AlertOut.model_validate(alert_json(one)) for one in services.alerts(before, limit, rule)]


@router.get("/rules", response=RulesTextOut, summary="The alert rules in force")
def rules_in_force(request: HttpRequest) -> RulesTextOut:
    caller(request, Ability.VIEW_AUDIT)
    standing = services.current()
    if standing is None:
        return RulesTextOut(version=0, text=SHIPPED.read_text())
    return RulesTextOut(version=standing.number, text=standing.text)


@router.post(
    "/rules/check", response=RulesCheckOut, summary="Check alert rules and run their cases; changes nothing"
)
def check_rules(request: HttpRequest, body: TextIn) -> RulesCheckOut:
    caller(request, Ability.MANAGE_POLICY)
    try:
        loaded = services.check(body.text, "request")
    except RulesRefused as error:
        problems = [ProblemOut.model_validate(one.to_json()) for one in error.problems]
        return RulesCheckOut(problems=problems, cases=[])
    cases = [RulesCaseOut(name=name, alerts=list(alerted)) for name, alerted in loaded.cases]
    return RulesCheckOut(problems=[], cases=cases)


@router.post("/rules/apply", response=RulesAppliedOut, summary="Put alert rules in force")
def apply_rules(request: HttpRequest, body: RulesIn) -> RulesAppliedOut:
    """``expected`` is the version that the file was made from, 0 for none: 409 when another is in force."""
    by = caller(request, Ability.MANAGE_POLICY).principal
    applied = services.apply(body.text, "request", by, datetime.now(UTC), expected=body.expected)
    return RulesAppliedOut(version=applied.version.number, changed=applied.changed)


@router.get(
    "/rules/versions", response=list[RulesVersionOut], summary="Versions of the alert rules, newest first"
)
def rules_versions(request: HttpRequest, before: Number = None, limit: Limit = 50) -> list[RulesVersionOut]:
    caller(request, Ability.VIEW_AUDIT)
    return [RulesVersionOut.from_orm(row) for row in services.history(before, limit)]


@router.get("/rules/versions/{number}", response=RulesTextOut, summary="One version with its text")
def rules_version(request: HttpRequest, number: int) -> RulesTextOut:
    caller(request, Ability.VIEW_AUDIT)
    found = services.version(number)
    return RulesTextOut(version=found.number, text=found.text)


@router.post("/rules/rollback", response=RulesAppliedOut, summary="Put earlier alert rules in force again")
def roll_rules_back(request: HttpRequest, body: RulesBackIn) -> RulesAppliedOut:
    by = caller(request, Ability.MANAGE_POLICY).principal
    back = services.rollback(body.version, by, datetime.now(UTC), expected=body.expected)
    return RulesAppliedOut(version=back.version.number, changed=back.changed)
