"""Tasks that agents propose, over HTTP."""

from datetime import UTC, datetime
from uuid import UUID

from django.http import HttpRequest
from ninja import Router

from appliance.accounts.domain import Ability
from appliance.agent.proposals import services
from webadmin.api.auth import caller
from webadmin.api.proposal_schemas import ProposalOut, ProposalsOut, ProposalTextOut, RejectIn
from webadmin.api.schemas import Limit
from webadmin.api.task_schemas import AppliedOut

router = Router(tags=["proposals"])


@router.get(
    "", response=ProposalsOut, summary="What agents propose, newest first; with open=false what was decided"
)
def list_proposals(
    request: HttpRequest, open: bool = True, before: UUID | None = None, limit: Limit = 50
) -> ProposalsOut:
    caller(request, Ability.VIEW)
    rows = services.listing(only_open=True) if open else services.decided()
    found = list((rows.filter(pk__lt=before) if before else rows)[: limit + 1])
    following = found[limit - 1].pk if len(found) > limit else None
    return ProposalsOut(items=[ProposalOut.from_orm(one) for one in found[:limit]], next=following)


@router.get("/{proposal_id}", response=ProposalTextOut, summary="One proposal, beside the task in force")
def get_proposal(request: HttpRequest, proposal_id: UUID) -> ProposalTextOut:
    caller(request, Ability.VIEW)
    row = services.find(str(proposal_id))
    found = services.compared(row)
    said = ProposalOut.from_orm(row).model_dump()
    return ProposalTextOut(
        **said, text=row.text, before=found.before, in_force=found.number, moved=found.moved
    )


@router.post("/{proposal_id}/take", response=AppliedOut, summary="Apply it, with the caller's rights")
def take(request: HttpRequest, proposal_id: UUID) -> AppliedOut:
    by = caller(request, Ability.EDIT_TASKS, somewhere=True).principal
    done = services.take(str(proposal_id), by, datetime.now(UTC))
    return AppliedOut(name=done.name, version=done.version, change=done.change.value)


@router.post("/{proposal_id}/reject", response=ProposalOut, summary="Nothing becomes of it")
def reject(request: HttpRequest, proposal_id: UUID, body: RejectIn | None = None) -> ProposalOut:
    by = caller(request, Ability.EDIT_TASKS, somewhere=True).principal
    row = services.reject(str(proposal_id), by, datetime.now(UTC), body.reason if body else "")
    return ProposalOut.from_orm(row)
