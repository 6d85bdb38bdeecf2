"""The policy over HTTP: the same checks as on the page, for an admin's token or session."""

from datetime import UTC, datetime

from django.http import HttpRequest
from ninja import Router

from appliance.accounts.domain import Ability
from appliance.runs.policy_view import known_kinds
from appliance.safety.models import PolicyVersion
from appliance.safety.policy import services
from appliance.safety.policy.errors import PolicyRefused
from appliance.safety.policy.vocabulary import Layer
from webadmin.api.auth import caller
from webadmin.api.policy_schemas import (
    PolicyAppliedOut,
    PolicyBackIn,
    PolicyCaseOut,
    PolicyCheckOut,
    PolicyIn,
    PolicyInForceOut,
    PolicyTextOut,
    PolicyVersionOut,
)
from webadmin.api.schemas import Limit, ProblemOut, TextIn

router = Router(tags=["policy"])


@router.get("", response=list[PolicyInForceOut], summary="What is in force in each layer")
def policies_in_force(request: HttpRequest) -> list[PolicyInForceOut]:
    caller(request, Ability.MANAGE_POLICY)
    return [
        PolicyInForceOut(**_out(row.version).model_dump(), text=row.version.text, since=row.since, by=row.by)
        for row in services.in_force()
    ]


@router.post(
    "/check", response=PolicyCheckOut, summary="Check a policy file and run its cases; changes nothing"
)
def check_policy(request: HttpRequest, body: TextIn) -> PolicyCheckOut:
    caller(request, Ability.MANAGE_POLICY)
    try:
        loaded = services.check(body.text, "request", known_kinds())
    except PolicyRefused as error:
        problems = [ProblemOut.model_validate(one.to_json()) for one in error.problems]
        return PolicyCheckOut(problems=problems, cases=[])
    cases = [
        PolicyCaseOut(name=one.name, decision=one.verdict.answer.value, rule=one.verdict.rule)
        for one in loaded.outcomes
    ]
    return PolicyCheckOut(problems=[], cases=cases)


@router.post("/apply", response=PolicyAppliedOut, summary="Put a policy file in force for its layer")
def apply_policy(request: HttpRequest, body: PolicyIn) -> PolicyAppliedOut:
    """``expected`` is the version that the file was made from, 0 for none: 409 when another is in force."""
    who = caller(request, Ability.MANAGE_POLICY)
    applied = services.apply(
        body.text,
        "request",
        who.principal,
        datetime.now(UTC),
        kinds=known_kinds(),
        expected=body.expected,
    )
    return _applied(applied)


@router.get("/{layer}/versions", response=list[PolicyVersionOut], summary="Versions of a layer, newest first")
def policy_versions(
    request: HttpRequest, layer: Layer, before: int | None = None, limit: Limit = 50
) -> list[PolicyVersionOut]:
    caller(request, Ability.MANAGE_POLICY)
    return [_out(row) for row in services.history(layer, before, limit)]


@router.get("/{layer}/versions/{number}", response=PolicyTextOut, summary="One version with its text")
def policy_version(request: HttpRequest, layer: Layer, number: int) -> PolicyTextOut:
    caller(request, Ability.MANAGE_POLICY)
    found = services.version(layer, number)
    return PolicyTextOut(**_out(found).model_dump(), text=found.text)


@router.post("/{layer}/rollback", response=PolicyAppliedOut, summary="Put an earlier version in force again")
def roll_policy_back(request: HttpRequest, layer: Layer, body: PolicyBackIn) -> PolicyAppliedOut:
    who = caller(request, Ability.MANAGE_POLICY)
    back = services.rollback(
        layer,
        body.version,
        who.principal,
        datetime.now(UTC),
        kinds=known_kinds(),
        expected=body.expected,
    )
    return _applied(back)


def _applied(applied: services.Applied) -> PolicyAppliedOut:
    made = applied.version
    return PolicyAppliedOut(layer=made.layer, version=made.number, changed=applied.changed)


def _out(row: PolicyVersion) -> PolicyVersionOut:
    return PolicyVersionOut(
        layer=row.layer,
        version=row.number,
        name=row.name,
        digest=row.digest,
        author=row.author,
        created_at=row.created_at,
    )
