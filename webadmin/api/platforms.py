"""Chat platforms over HTTP: what is configured and how it is, changed, tested, removed."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.utils.translation import gettext as _
from ninja import Body, Router, Schema

from appliance.accounts.domain import Ability
from appliance.bridges import services
from appliance.bridges.ports import ProbeState
from appliance.bridges.probing import probe_platform
from appliance.bridges.services import PlatformView
from webadmin.api.auth import caller

router = Router(tags=["platforms"])


class PlatformOut(Schema):
    """``config`` is its entry as a file has it, with references and never values; empty for who may not change it.

    ``revision`` is 0 for one that needs no configuration.
    """

    name: str
    kind: str
    enabled: bool
    state: str
    message: str
    identity: str
    waiting: int
    revision: int
    config: dict[str, Any]


class SavedOut(Schema):
    """``change``: created, changed or unchanged. ``moved``: keys whose value is a secret of the box now."""

    change: str
    moved: list[str]
    notices: list[str]
    platform: PlatformOut


class TestedOut(Schema):
    """``item_id`` is the test message in the outbox, if the platform answered at all."""

    state: str
    message: str
    identity: str
    round_trip_ms: float | None
    item_id: UUID | None


@router.get("", response=list[PlatformOut], summary="Chat platforms")
def list_platforms(request: HttpRequest) -> list[PlatformOut]:
    who = caller(request, Ability.VIEW)
    whole = who.can(Ability.MANAGE_BRIDGES)
    return [_out(view, whole=whole) for view in services.platforms()]


@router.get("/{name}", response=PlatformOut, summary="One chat platform")
def get_platform(request: HttpRequest, name: str) -> PlatformOut:
    who = caller(request, Ability.VIEW)
    return _out(services.platform(name), whole=who.can(Ability.MANAGE_BRIDGES))


@router.put("/{name}", response=SavedOut, summary="Add a chat platform, or change it")
def put_platform(
    request: HttpRequest, name: str, body: Body[dict[str, Any]], revision: int | None = None
) -> SavedOut:
    """The body is its whole entry, as a configuration file has it. With ``revision`` it is refused (409) if somebody
    else changed it since; 0 means that there is to be none yet."""
    who = caller(request, Ability.MANAGE_BRIDGES)
    entry = {**body, "name": name}
    saved = services.save_platform(entry, who.principal, datetime.now(UTC), revision=revision)
    return SavedOut(
        change=saved.change,
        moved=list(saved.moved),
        notices=[str(notice) for notice in saved.notices],
        platform=_out(services.platform(name), whole=True),
    )


@router.delete("/{name}", response={204: None}, summary="Remove a chat platform and the secrets made for it")
def delete_platform(request: HttpRequest, name: str) -> None:
    services.remove_platform(name, caller(request, Ability.MANAGE_BRIDGES).principal)


@router.post(
    "/{name}/test", response=TestedOut, summary="A real round trip, and a message by way of the outbox"
)
def test_platform(request: HttpRequest, name: str) -> TestedOut:
    who = caller(request, Ability.MANAGE_BRIDGES)
    probe = probe_platform(services.platform(name).name)
    item = None
    if probe.state is ProbeState.OK:
        item = services.send_test(name, _("A test from Millwright."), who.principal, datetime.now(UTC))
    return TestedOut(
        state=probe.state.value,
        message=probe.message,
        identity=probe.identity,
        round_trip_ms=probe.round_trip_ms,
        item_id=item,
    )


def _out(view: PlatformView, *, whole: bool) -> PlatformOut:
    return PlatformOut(
        name=view.name,
        kind=view.kind,
        enabled=view.enabled,
        state=view.state.value,
        message=view.message,
        identity=view.identity,
        waiting=view.waiting,
        revision=view.revision,
        config=dict(view.config) if whole else {},
    )
