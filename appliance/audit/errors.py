"""What can be wrong with the audit record or its files."""

from appliance.lib.errors import MillwrightError


class AuditBroken(MillwrightError):
    """The chain does not fit its own head; nothing is signed until a person has looked."""

    code = "audit.broken"


class ExportUnreadable(MillwrightError):
    """Not an export of an audit record, or damaged beyond reading."""

    code = "audit.export_unreadable"


class KeyUnusable(MillwrightError):
    """The signing key cannot be read or made."""

    code = "audit.key_unusable"
