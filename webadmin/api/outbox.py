"""The outbox over HTTP."""

from uuid import UUID

from django.http import HttpRequest
from ninja import Router

from appliance.accounts.domain import Ability
from appliance.outbox import services
from appliance.outbox.domain import OutboxState
from webadmin.api.auth import caller
from webadmin.api.schemas import Limit, OutboxItemOut, OutboxOut

router = Router(tags=["outbox"])


@router.get("", response=OutboxOut, summary="Messages on their way or at their end, newest first")
def list_items(
    request: HttpRequest,
    state: OutboxState | None = None,
    platform: str | None = None,
    before: UUID | None = None,
    limit: Limit = 50,
) -> OutboxOut:
    caller(request, Ability.VIEW)
    found = services.listed(
        states=frozenset({state}) if state else None,
        platform=platform.replace("\x00", "") if platform else None,
        before=before,
        limit=limit + 1,
    )
    following = found[limit - 1].pk if len(found) > limit else None
    return OutboxOut(items=[OutboxItemOut.from_orm(row) for row in found[:limit]], next=following)


@router.post("/{item_id}/retry", response={202: None}, summary="Send a message now")
def retry(request: HttpRequest, item_id: UUID) -> None:
    services.retry(item_id, caller(request, Ability.CANCEL_RUNS).principal)


@router.post("/{item_id}/drop", response={202: None}, summary="Give a waiting message up")
def drop(request: HttpRequest, item_id: UUID) -> None:
    services.drop(item_id, caller(request, Ability.CANCEL_RUNS).principal)
