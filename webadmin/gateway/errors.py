"""What the gateway refuses in its own name, and how it ends a connection."""

from enum import IntEnum

from appliance.lib.errors import MillwrightError


class Close(IntEnum):
    """Codes of the WebSocket's end. Before each the client is told in an ``error`` with ``fatal``."""

    UNREADABLE = 4400
    ENDED = 4401
    """The token is revoked or expired, or its person locked out: no use to try again."""
    VERSION = 4406
    NO_HELLO = 4408
    SLOW = 4409
    TOO_LARGE = 4413
    TOO_FAST = 4429
    TOO_MANY = 4430
    BROKEN = 4500


class Over(Exception):
    """The connection ends: the client is told why, then it is cut."""

    def __init__(self, close: Close, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.close, self.message, self.hint = close, message, hint


class TokenEnded(MillwrightError):
    code = "gateway.token_ended"


class IdReused(MillwrightError):
    """The same ``id`` with another content: the first one counts."""

    code = "gateway.id_reused"


class TopicUnknown(MillwrightError):
    code = "gateway.topic_unknown"
