"""``devices.show``: one device, whether it is there, and what it last said."""

from appliance.accounts.domain import Ability
from appliance.agent.errors import QueryRefused
from appliance.agent.tools.contract import Arguments, Asking, QueryTool
from appliance.bus.models import TopicValue
from appliance.devices.services import list_devices, presences
from appliance.lib.glob import Glob
from appliance.lib.jsontypes import JsonObject, JsonValue

MOST = 20
LONGEST = 300


class DevicesShowArguments(Arguments):
    device: str
    """Its name, as devices.list gives it."""


class DevicesShowTool(QueryTool[DevicesShowArguments]):
    name = "devices.show"
    says = "Show one device: whether it is online, since when, its topics, and its last values."
    arguments = DevicesShowArguments
    example = {"device": "pump-3"}

    def answer(self, given: DevicesShowArguments, asking: Asking) -> JsonValue:
        asking.by.require(Ability.VIEW, device=given.device)
        found = list_devices().filter(name=given.device).first()
        if found is None:
            raise QueryRefused(f"there is no device {given.device[:60]!r}", hint="devices.list names them")
        presence = presences([found.name]).get(found.name)
        publishes = [str(one) for one in found.publish]
        said: JsonObject = {
            "device": found.name,
            "state": presence.state if presence else "unknown",
            "since": presence.since.isoformat() if presence else None,
            "last_seen": presence.last_seen.isoformat() if presence else None,
            "counts_as_offline_after_seconds": found.silence_seconds,
            "publishes": [*publishes],
            "subscribes": [str(one) for one in found.subscribe],
        }
        values: list[JsonValue] = [
            {"topic": row.topic, "value": _value(row), "at": f"{row.at:%Y-%m-%dT%H:%M:%SZ}"}
            for row in _values(publishes, asking)
        ]
        return {**said, "values": values}


def _values(patterns: list[str], asking: Asking) -> list[TopicValue]:
    """Of the topics that it may publish on; where a pattern names too many, those that come first."""
    found: list[TopicValue] = []
    for pattern in patterns:
        begins = pattern.partition("#")[0].partition("+")[0]
        if not begins:
            continue  # everybody's topics tell nothing of one device
        glob = Glob(pattern.replace("#", "*").replace("+", "*"))
        rows = TopicValue.objects.filter(topic__startswith=begins).order_by("topic")[: MOST * 5]
        found += [
            one for one in rows if glob.matches(one.topic) and asking.by.can(Ability.VIEW, topic=one.topic)
        ]
    return list({one.topic: one for one in found}.values())[:MOST]


def _value(row: TopicValue) -> JsonValue:
    return row.value if row.value is not None else bytes(row.payload).decode(errors="replace")[:LONGEST]
