"""Signatures over a time and a body, as webhooks use them. Compared in constant time, and only for a while."""

import hashlib
import hmac
from datetime import datetime, timedelta

WINDOW = timedelta(minutes=5)


def is_recent(timestamp: str, now: datetime, window: timedelta = WINDOW) -> bool:
    """Whether ``timestamp``, seconds since 1970, is at most ``window`` away from now."""
    if not timestamp.isascii() or not timestamp.isdecimal() or len(timestamp) > 12:
        return False
    return abs(now.timestamp() - int(timestamp)) <= window.total_seconds()


def same(one: str, other: str) -> bool:
    """Whether two signatures are equal, in constant time. Neither may be empty."""
    return bool(one) and hmac.compare_digest(one.encode(), other.encode())


def hmac_sha256(secret: str, data: bytes) -> str:
    """64 hexadecimal digits."""
    return hmac.new(secret.encode(), data, hashlib.sha256).hexdigest()
