"""Brokers beside the box's own over HTTP."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime

from django.http import HttpRequest
from ninja import Router

from appliance.accounts.domain import Ability
from appliance.bus.brokers import services
from appliance.bus.brokers.by_hand import try_broker
from appliance.bus.brokers.domain import BrokerSpec
from appliance.processes.part_checks import PartState
from appliance.processes.signs import BROKER_PART
from appliance.tasks.brokers import remove
from webadmin.api.auth import caller
from webadmin.api.schemas import BrokerIn, BrokerOut, RoundTripOut
from webadmin.health import state_of_brokers

router = Router(tags=["brokers"])


@router.get("", response=list[BrokerOut], summary="Brokers connected beside the box's own")
def list_brokers(request: HttpRequest) -> list[BrokerOut]:
    caller(request, Ability.VIEW)
    states = state_of_brokers()
    return [_out(spec, states) for spec in services.list_brokers()]


@router.put("/{name}", response=BrokerOut, summary="Connect a broker, or change it")
def put_broker(request: HttpRequest, name: str, body: BrokerIn) -> BrokerOut:
    who = caller(request, Ability.MANAGE_BROKERS)
    spec = BrokerSpec(name=name, **{**body.model_dump(), "filters": tuple(body.filters)})
    saved = services.save_broker(spec, who.principal, datetime.now(UTC))
    return _out(saved, state_of_brokers())


@router.delete("/{name}", response={204: None}, summary="Remove a broker that no task names")
def delete_broker(request: HttpRequest, name: str) -> None:
    remove(name, caller(request, Ability.MANAGE_BROKERS).principal)


@router.post("/{name}/test", response=RoundTripOut, summary="A real round trip over a broker")
def test_broker(request: HttpRequest, name: str) -> RoundTripOut:
    who = caller(request, Ability.MANAGE_BROKERS)
    return RoundTripOut(seconds=try_broker(name, who.principal))


def _out(spec: BrokerSpec, states: Mapping[str, PartState]) -> BrokerOut:
    part = states.get(f"{BROKER_PART}{spec.name}")
    return BrokerOut(
        **{**asdict(spec), "filters": list(spec.filters)},
        healthy=part.healthy if part and spec.enabled else None,
        message=part.message if part and spec.enabled else "",
    )
