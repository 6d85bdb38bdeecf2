"""Which events of the box can start a task."""

from difflib import get_close_matches

from appliance.events.catalogue import CATALOGUE, OF_CONVERSATIONS
from appliance.lib.errors import MillwrightError
from appliance.lib.said import say

_ALSO = frozenset({"run.succeeded", "run.failed", "run.cancelled", "run.undone", "run.poisoned"})
"""Ends of runs: ``run.changed`` with that state, under the name that people look for."""

_TOO_MANY = frozenset(
    {
        "step.changed",
        "shards.changed",
        "occurrence.recorded",
        "run.changed",
        "delivery.changed",
        "feed.message",
    }
)
"""Every run makes several of these: a task started by them would start itself."""

TRIGGER_EVENTS = (frozenset(CATALOGUE) | _ALSO) - _TOO_MANY - OF_CONVERSATIONS
"""What people and an agent say to each other is theirs: it starts nothing else."""


class UnknownEventType(MillwrightError):
    code = "tasks.unknown_event"


def check_event_type(text: str) -> str:
    """The event type itself. Raises UnknownEventType with the nearest one."""
    if text in TRIGGER_EVENTS:
        return text
    near = get_close_matches(text, TRIGGER_EVENTS, 1)
    hint = (
        say("did you mean %(near)s?", near=near[0])
        if near
        else say("one of %(known)s", known=", ".join(sorted(TRIGGER_EVENTS)))
    )
    raise UnknownEventType(say("there is no event %(text)r that starts tasks", text=text), hint=hint)
