"""What the alert rules refuse."""

from appliance.lib.errors import MillwrightError
from appliance.lib.located.problems import FileRefused


class RulesRefused(FileRefused):
    """A file of alert rules that changes nothing because of its ``problems``, in the order of the file."""

    code = "alerts.file_refused"


class RulesNotFound(MillwrightError):
    code = "alerts.not_found"


class RulesMoved(MillwrightError):
    """Somebody else applied other rules since these were begun."""

    code = "alerts.moved"
