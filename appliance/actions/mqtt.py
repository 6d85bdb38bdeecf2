"""``mqtt``: publish a message. Confirmed by the broker's PUBACK, which proves the broker, not the device."""

import json
from collections.abc import Iterable, Mapping
from typing import Annotated

from pydantic import StringConstraints

from appliance.actions.contract import (
    ActionKind,
    EffectClass,
    Services,
    StateReader,
    StepContext,
    StepResult,
    TargetAway,
    Written,
)
from appliance.actions.targets import TargetParams
from appliance.bus.errors import BusAway, BusError
from appliance.bus.filters import check_topic
from appliance.bus.places import NAME as BROKER
from appliance.bus.places import place_of
from appliance.expressions import Tree
from appliance.expressions.fields import TextField, TreeField
from appliance.lib.errors import MillwrightError
from appliance.lib.jsontypes import JsonObject, JsonValue


class MqttParams(TargetParams):
    topic: TextField
    """Where to publish; no wildcards."""
    payload: TreeField = Tree(None)
    """What: text as it is, anything else as JSON. Every text in it is a template."""
    qos: int = 1
    """0 or 1."""
    broker: Annotated[str, StringConstraints(pattern=BROKER)] | None = None
    """Which of the brokers connected beside the box's own; without it, the own."""
    retain: bool = False
    """Whether the broker keeps it as the topic's last value. Never retain commands."""


_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def encode(payload: JsonValue) -> bytes:
    """Text goes as it is, nothing as an empty payload, everything else as compact JSON."""
    if payload is None:
        return b""
    if isinstance(payload, str):
        return payload.encode()
    return _compact(payload).encode()


class MqttAction(ActionKind[MqttParams]):
    name = "mqtt"
    params = MqttParams
    instant = True
    default_timeout = 10.0

    def effect(self, params: MqttParams) -> EffectClass:
        return EffectClass.IDEMPOTENT

    def written(self, params: MqttParams) -> Iterable[Written]:
        if params.topic.is_literal:
            yield "topic", lambda: check_topic(params.topic.source)

    def arguments(
        self, params: MqttParams, scope: Mapping[str, JsonValue], state: StateReader | None = None
    ) -> JsonObject:
        rendered = super().arguments(params, scope, state)
        return {k: v for k, v in rendered.items() if v or k not in ("broker", "valid_for")}

    def target(self, arguments: JsonObject) -> str:
        return f"mqtt:{place_of(str(arguments.get('broker') or ''), str(arguments['topic']))}"

    async def reach(self, arguments: JsonObject, services: Services, patience: float) -> bool:
        broker = str(arguments.get("broker") or "")
        try:
            return await services.reach(broker, patience)
        except BusAway as error:
            raise TargetAway(f"the {_named(broker)} is away: {error.message}") from error
        except TargetAway:
            raise
        except MillwrightError:  # also a secret that is missing, which is no error of the bus
            return False  # to try it says what is wrong

    async def perform(self, arguments: JsonObject, context: StepContext) -> StepResult:
        topic, payload = str(arguments["topic"]), encode(arguments["payload"])
        broker = str(arguments.get("broker") or "")
        try:
            await context.services.publish(
                topic,
                payload,
                qos=1 if arguments["qos"] else 0,
                retain=bool(arguments["retain"]),
                timeout=min(context.timeout, context.act_within or context.timeout),
                broker=broker,
            )
        except BusAway as error:
            said = f"the {_named(broker)} did not confirm: {error.message}"
            raise TargetAway(said, maybe_done=True) from error
        except BusError as error:
            return StepResult.failed(str(error), retryable=False)
        return StepResult.ok(None, topic=place_of(broker, topic), bytes=len(payload), confirmed_by="broker")


def _named(broker: str) -> str:
    return f"broker {broker}" if broker else "MQTT broker"
