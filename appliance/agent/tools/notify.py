"""``notify``: tell people on a chat platform."""

from appliance.agent.domain import Risk
from appliance.agent.tools.contract import Arguments, Tool
from appliance.lib.jsontypes import JsonObject


class NotifyArguments(Arguments):
    message: str
    """What people read."""
    platform: str
    """The chat platform, by its name."""
    to: str | None = None
    """The conversation, where the platform's usual one is not meant."""


class NotifyTool(Tool[NotifyArguments]):
    name = "notify"
    says = "Send people a message on a chat platform."
    arguments = NotifyArguments
    risk = Risk.CHANGE
    by_author = frozenset({"platform", "to"})
    must_fix = frozenset({"platform"})
    example_fixed = {"platform": "webchat"}
    example = {"message": "Pump 3 was stopped at 82 °C."}

    def step(self, given: NotifyArguments) -> JsonObject:
        return {"type": "notification", **given.model_dump(mode="json", exclude_none=True)}
