"""Why something cannot be acknowledged."""

from appliance.lib.errors import MillwrightError


class EscalationNotFound(MillwrightError):
    code = "escalations.not_found"


class EscalationSettled(MillwrightError):
    """Somebody was quicker, or it was withdrawn."""

    code = "escalations.settled"


class NobodyKnown(MillwrightError):
    """A device, a trigger or the box itself acknowledges nothing: that is an answer of a person."""

    code = "accounts.not_allowed"
