"""Kinds that act on something which may be away: runs wait for it in order, as long as their step says."""

from appliance.actions.contract import Params
from appliance.lib.located.fields import Duration


class TargetParams(Params):
    """Of a kind that acts on something which may be away."""

    valid_for: Duration | None = None
    """How long after it was first to act the step may still act, whatever it waited for; then it fails. Without it,
    as long as the task's ``timeout`` lets the run wait."""
