"""What deciding on approvals is refused with."""

from appliance.lib.errors import MillwrightError


class ApprovalRefused(MillwrightError):
    """Replayed, forged, late or not theirs: all get this one sentence, and the audit record the rest."""

    code = "approvals.refused"

    def __init__(self, said: str = "This cannot be decided by you now.") -> None:
        super().__init__(said)


class CodeRefused(ApprovalRefused):
    """The same for a one-time code, whatever was wrong: it does not tell whether there is such an approval."""

    def __init__(self) -> None:
        super().__init__("The code is not right for this, or not good any more.")


class ApprovalNotFound(MillwrightError):
    code = "approvals.not_found"
