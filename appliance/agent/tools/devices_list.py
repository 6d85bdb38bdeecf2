"""``devices.list``: the devices of this box, and which of them are there."""

from appliance.accounts.domain import Ability
from appliance.agent.tools.contract import Arguments, Asking, QueryTool
from appliance.devices.services import list_devices, presences
from appliance.lib.jsontypes import JsonValue

MOST = 100


class DevicesListArguments(Arguments):
    word: str = ""
    """Only devices with this word in their name."""


class DevicesListTool(QueryTool[DevicesListArguments]):
    name = "devices.list"
    says = "List the devices of this box, and whether each is online."
    arguments = DevicesListArguments
    example = {"word": "pump"}

    def answer(self, given: DevicesListArguments, asking: Asking) -> JsonValue:
        names = list_devices().filter(name__icontains=given.word).values_list("name", flat=True)
        seen = [name for name in names if asking.by.can(Ability.VIEW, device=name)][:MOST]
        known = presences(seen)
        return [
            {"device": name, "state": str(known[name].state) if name in known else "unknown"} for name in seen
        ]
