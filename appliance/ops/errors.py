"""What the doctor refuses."""

from appliance.lib.errors import MillwrightError
from appliance.lib.said import say


class LookedJustNow(MillwrightError):
    """A look takes seconds of the box: one at a time, and not again at once."""

    code = "ops.looked_just_now"
    permanent = False

    def __init__(self) -> None:
        super().__init__(
            say("the doctor has just looked, or is looking: see what it found"),
            hint=say("wait ten seconds to have it look again"),
        )
