"""Why something about accounts was refused."""

from appliance.lib.errors import MillwrightError


class SetupRefused(MillwrightError):
    """The set-up link is unknown, used, expired, or no longer needed."""

    code = "accounts.setup_refused"


class AccountRefused(MillwrightError):
    """A name that is taken or malformed, or a password that is too weak."""

    code = "accounts.refused"


class NoSuchUser(MillwrightError):
    code = "accounts.no_such_user"


class GrantRefused(MillwrightError):
    """A role that cannot be granted to an MQTT account, or to a person on these tasks and topics."""

    code = "accounts.grant_refused"


class LastAdmin(MillwrightError):
    """Nobody could administer the box after this change."""

    code = "accounts.last_admin"


class LinkEnded(MillwrightError):
    """A one-time link for a password that is unknown, used, overtaken by a log-in, or too old."""

    code = "accounts.link_ended"
