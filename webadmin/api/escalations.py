"""Escalations over HTTP."""

from datetime import UTC, datetime
from uuid import UUID

from django.http import HttpRequest
from ninja import Router

from appliance.accounts.domain import Ability
from appliance.escalations import services
from appliance.escalations.domain import Way
from webadmin.api.auth import caller
from webadmin.api.escalation_schemas import EscalationOut, EscalationsOut
from webadmin.api.schemas import Limit

router = Router(tags=["escalations"])


@router.get(
    "", response=EscalationsOut, summary="What waits to be acknowledged; with open=false what was settled"
)
def list_escalations(
    request: HttpRequest, open: bool = True, before: UUID | None = None, limit: Limit = 50
) -> EscalationsOut:
    """Those that wait: first the exhausted ones, all of them; the settled ones newest first, in pages."""
    caller(request, Ability.VIEW)
    if open:
        return EscalationsOut(items=[EscalationOut.from_orm(row) for row in services.waiting()], next=None)
    found = services.settled(before, limit + 1)
    following = found[limit - 1].pk if len(found) > limit else None
    return EscalationsOut(items=[EscalationOut.from_orm(row) for row in found[:limit]], next=following)


@router.get("/{escalation_id}", response=EscalationOut, summary="One escalation")
def get_escalation(request: HttpRequest, escalation_id: UUID) -> EscalationOut:
    caller(request, Ability.VIEW)
    return EscalationOut.from_orm(services.find(str(escalation_id)))


@router.post("/{escalation_id}/acknowledge", response=EscalationOut, summary="Say that somebody has it")
def acknowledge(request: HttpRequest, escalation_id: UUID) -> EscalationOut:
    """On the authority of the person behind the token. Nobody else is told, and its messages say by whom."""
    by = caller(request, Ability.RUN_TASKS, somewhere=True).principal
    return EscalationOut.from_orm(services.acknowledge(str(escalation_id), by, datetime.now(UTC), Way.API))


@router.post("/{escalation_id}/withdraw", response=EscalationOut, summary="Nobody has to answer any more")
def withdraw(request: HttpRequest, escalation_id: UUID) -> EscalationOut:
    by = caller(request, Ability.CANCEL_RUNS, somewhere=True).principal
    return EscalationOut.from_orm(services.withdraw(str(escalation_id), by, datetime.now(UTC), Way.API))
