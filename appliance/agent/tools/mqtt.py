"""``mqtt``: publish a message on the box's broker."""

from appliance.agent.domain import Risk
from appliance.agent.tools.contract import Arguments, Tool
from appliance.lib.jsontypes import JsonObject


class MqttArguments(Arguments):
    topic: str
    """Where to publish; no wildcards."""
    payload: str = ""
    """What: text, or JSON as text."""
    broker: str | None = None
    """Another broker than the box's own."""


class MqttTool(Tool[MqttArguments]):
    name = "mqtt"
    says = "Publish a message on a topic, as a command to a device."
    arguments = MqttArguments
    risk = Risk.CHANGE
    by_author = frozenset({"broker"})
    example = {"topic": "plant/pump/3/set", "payload": "off"}

    def step(self, given: MqttArguments) -> JsonObject:
        return {"type": "mqtt", **given.model_dump(mode="json", exclude_none=True)}
