"""``mqtt``: publish a message. Confirmed by the broker's PUBACK, which proves the broker, not the device."""

import json

from appliance.actions.contract import (
    ActionKind,
    EffectClass,
    Params,
    StepContext,
    StepResult,
    TargetAway,
)
from appliance.bus.errors import BusAway, BusError
from appliance.expressions import Tree
from appliance.expressions.fields import TextField, TreeField
from appliance.lib.jsontypes import JsonObject, JsonValue


class MqttParams(Params):
    topic: TextField
    """Where to publish; no wildcards."""
    payload: TreeField = Tree(None)
    """What: text as it is, anything else as JSON. Every text in it is a template."""
    qos: int = 1
    """0 or 1."""
    retain: bool = False
    """Whether the broker keeps it as the topic's last value. Never retain commands."""


def encode(payload: JsonValue) -> bytes:
    """Text goes as it is, nothing as an empty payload, everything else as compact JSON."""
    if payload is None:
        return b""
    if isinstance(payload, str):
        return payload.encode()
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


class MqttAction(ActionKind[MqttParams]):
    name = "mqtt"
    params = MqttParams
    instant = True
    default_timeout = 10.0

    def effect(self, params: MqttParams) -> EffectClass:
        return EffectClass.IDEMPOTENT

    async def perform(self, arguments: JsonObject, context: StepContext) -> StepResult:
        topic, payload = str(arguments["topic"]), encode(arguments["payload"])
        try:
            await context.services.publish(
                topic,
                payload,
                qos=1 if arguments["qos"] else 0,
                retain=bool(arguments["retain"]),
                timeout=context.timeout,
            )
        except BusAway as error:
            said = f"the MQTT broker did not confirm: {error.message}"
            raise TargetAway(said, maybe_done=True) from error
        except BusError as error:
            return StepResult.failed(str(error), retryable=False)
        return StepResult.ok(None, topic=topic, bytes=len(payload), confirmed_by="broker")
