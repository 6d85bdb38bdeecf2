"""What the gate's parts refuse."""

from appliance.lib.errors import MillwrightError


class SwitchAway(MillwrightError):
    """The database is away: the stop stands in the file alone, and cannot be released yet."""

    code = "safety.switch_away"
    permanent = False


class ReleaseRefused(MillwrightError):
    """Whoever wants the all-stop released has no name, or gives no reason."""

    code = "safety.release_refused"


class ReadOnlyNow(MillwrightError):
    """The all-stop stands at ``read_only``: people and programs can only look."""

    code = "safety.read_only"
    permanent = False


class SecretMissing(MillwrightError):
    code = "safety.secret_missing"


class SecretUnreadable(MillwrightError):
    """The root key does not open this secret: it was made with another key, or moved under another name."""

    code = "safety.secret_unreadable"


class SecretRefused(MillwrightError):
    code = "safety.secret_refused"
