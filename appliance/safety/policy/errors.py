"""What the policy refuses."""

from appliance.lib.errors import MillwrightError
from appliance.lib.located.problems import FileRefused


class PolicyRefused(FileRefused):
    """A policy file that changes nothing because of its ``problems``, in the order of the file."""

    code = "policy.file_refused"


class PolicyNotFound(MillwrightError):
    code = "policy.not_found"


class PolicyMoved(MillwrightError):
    """Somebody else applied another version since this one was begun."""

    code = "policy.moved"


class PolicyUnreadable(MillwrightError):
    """The policy in force cannot be read: everything that acts is held until it can."""

    code = "policy.unreadable"
    permanent = False
