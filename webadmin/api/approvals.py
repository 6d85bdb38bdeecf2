"""Approvals over HTTP."""

from datetime import UTC, datetime
from uuid import UUID

from django.http import HttpRequest
from ninja import Router

from appliance.accounts.domain import Ability
from appliance.runs import approvals as door
from appliance.safety.approvals.domain import Way
from appliance.safety.approvals.services import Word, closed_ones, open_ones
from webadmin.api.approval_schemas import ApprovalOut, ApprovalsOut, DecisionIn
from webadmin.api.auth import caller
from webadmin.api.schemas import Limit

router = Router(tags=["approvals"])


@router.get("", response=ApprovalsOut, summary="What waits for a decision; with open=false what had one")
def list_approvals(
    request: HttpRequest, open: bool = True, before: UUID | None = None, limit: Limit = 50
) -> ApprovalsOut:
    """Open ones oldest first, all of them; the others newest first, in pages."""
    caller(request, Ability.VIEW)
    if open:
        return ApprovalsOut(
            items=[ApprovalOut.from_orm(row) for row in open_ones(datetime.now(UTC))], next=None
        )
    found = closed_ones(before, limit + 1)
    following = found[limit - 1].pk if len(found) > limit else None
    return ApprovalsOut(items=[ApprovalOut.from_orm(row) for row in found[:limit]], next=following)


@router.get("/{approval_id}", response=ApprovalOut, summary="One approval")
def get_approval(request: HttpRequest, approval_id: UUID) -> ApprovalOut:
    caller(request, Ability.VIEW)
    return ApprovalOut.from_orm(door.get(str(approval_id)))


@router.post("/{approval_id}/decide", response=ApprovalOut, summary="Approve or deny")
def decide(request: HttpRequest, approval_id: UUID, body: DecisionIn) -> ApprovalOut:
    """On the authority of the person behind the token, who must be one who may."""
    by = caller(request, Ability.APPROVE, somewhere=True).principal
    word = Word(body.decision, by, Way.API, datetime.now(UTC), reason=body.reason)
    return ApprovalOut.from_orm(door.decide(str(approval_id), word))
