"""At the strictest level of the all-stop people and programs can only look: every service that changes asks here."""

from pathlib import Path

from appliance.accounts.principal import BOX, Principal
from appliance.lib.said import say
from appliance.safety.allstop import AllStop, Level, current
from appliance.safety.errors import ReadOnlyNow


def refuse_changes(by: Principal, home: Path | None = None) -> None:
    """Raises ReadOnlyNow while the stop stands at ``read_only``, for everybody but the box itself.

    Called at the door of a use case, before its first write. What comes from outside and is only recorded (an
    occurrence, a chat message) is no change, and nothing of it is lost.
    """
    if by == BOX:
        return
    stop = current(home)
    if stop.at_least(Level.READ_ONLY):
        raise refusal(stop)


def refusal(stop: AllStop) -> ReadOnlyNow:
    """The sentence that everybody gets, with who stopped the box and why."""
    return ReadOnlyNow(
        say(
            "the all-stop stands at read only, engaged by %(who)s%(why)s; nothing can be changed until it is released",
            who=stop.by,
            why=f": {stop.reason}" if stop.reason else "",
        ),
        hint=say("an engineer releases it on any page, or with manage.py allstop release"),
    )
