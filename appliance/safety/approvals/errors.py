"""What deciding on approvals is refused with."""

from appliance.lib.errors import MillwrightError


class ApprovalRefused(MillwrightError):
    """Replayed, forged, late or not theirs: all get this one sentence, and the audit record the rest."""

    code = "approvals.refused"

    def __init__(self) -> None:
        super().__init__("This cannot be decided by you now.")


class ApprovalNotFound(MillwrightError):
    code = "approvals.not_found"
