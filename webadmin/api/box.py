"""The box over HTTP: its status, what happened, and the all-stop."""

from datetime import UTC, datetime
from typing import Annotated

from django.db.models import Count
from django.http import HttpRequest
from ninja import Router
from pydantic import Field

from appliance.accounts.domain import Ability
from appliance.bridges.liveness import liveness
from appliance.events.services import current_cursor, read_after
from appliance.lib.config import get_config
from appliance.outbox.network.services import network_state
from appliance.outbox.services import counts
from appliance.processes.cutting import PATIENCE, what_is_cut
from appliance.runs.models import Run
from appliance.safety.allstop import AllStop, Level, current, engage, release
from webadmin.api.auth import caller, username_of
from webadmin.api.box_schemas import (
    CutOut,
    EventOut,
    EventsOut,
    NetworkOut,
    PartOut,
    PlatformLiveOut,
    StatusOut,
    StopIn,
    StopOut,
)
from webadmin.api.schemas import ReasonIn
from webadmin.health import is_ready, part_states
from webadmin.visible import visible_to

router = Router(tags=["box"])


@router.get(
    "/status", response=StatusOut, summary="Every part and platform, unfinished runs, and the all-stop"
)
def status(request: HttpRequest) -> StatusOut:
    caller(request, Ability.VIEW)
    parts = part_states()
    unfinished = Run.whole.filter(state__in=["queued", "running", "waiting"]).order_by()
    return StatusOut(
        ready=is_ready(parts),
        durability=get_config().durability,
        parts={
            name: PartOut(healthy=part.healthy, message=part.message, required=part.required)
            for name, part in parts.items()
        },
        platforms=_platforms(),
        runs=dict(unfinished.values_list("state").annotate(Count("id"))),
        allstop=_stop(current()),
    )


def _platforms() -> list[PlatformLiveOut]:
    waiting = counts()
    return [
        PlatformLiveOut(
            name=one.name,
            state=one.state.value,
            hears=not one.is_deaf,
            message=one.message,
            deaf_since=one.deaf_since,
            checked_at=one.checked_at,
            answered_at=one.answered_at,
            round_trip_ms=one.round_trip_ms,
            messages_waiting=waiting[one.name].waiting if one.name in waiting else 0,
        )
        for one in liveness(datetime.now(UTC))
    ]


@router.get("/network", response=NetworkOut, summary="What of the network can be reached")
def network(request: HttpRequest) -> NetworkOut:
    caller(request, Ability.VIEW)
    return NetworkOut.model_validate(network_state().to_json())


@router.get("/events", response=EventsOut, summary="What happened after a position, in order")
def events(
    request: HttpRequest, after: str = "", limit: Annotated[int, Field(ge=1, le=1000)] = 200
) -> EventsOut:
    """Without ``after``: the position of now, and no events."""
    who = caller(request, Ability.VIEW)
    if not after:
        return EventsOut(cursor=str(current_cursor()), more=False, events=[])
    page = read_after(after, limit)
    return EventsOut(
        cursor=str(page.cursor),
        more=page.more,
        events=[
            EventOut.model_validate(entry.to_json()) for entry in visible_to(username_of(who), page.entries)
        ],
    )


@router.post("/allstop", response=StopOut, summary="Stop everything")
def stop(request: HttpRequest, body: StopIn | None = None) -> StopOut:
    who = caller(request, Ability.STOP_ALL)
    body = body or StopIn(reason="")
    level = body.level if body.level is not Level.NONE else Level.KILL
    return _stop(engage(level, body.reason, who.principal, datetime.now(UTC)), PATIENCE)


@router.post("/allstop/release", response=StopOut, summary="Let the box act again")
def let_go(request: HttpRequest, body: ReasonIn) -> StopOut:
    who = caller(request, Ability.RELEASE_STOP)
    return _stop(release(body.reason, who.principal, datetime.now(UTC)))


def _stop(state: AllStop, patience: float = 0) -> StopOut:
    cut = what_is_cut(get_config(), patience=patience) if state.cuts else None
    return StopOut(
        level=state.level.value,
        epoch=state.epoch,
        by=state.by,
        reason=state.reason,
        since=state.since,
        cut=CutOut(commands=cut.commands, lacking=cut.reason) if cut else None,
    )
