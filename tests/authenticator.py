"""An authenticator app: RFC 6238 with SHA-1, six digits and thirty seconds, written from the RFC."""

import base64
import hmac
import struct
import time


def code(secret: str, *, steps: int = 0) -> str:
    """The six digits for ``secret`` (base32) now, or ``steps`` half minutes from now."""
    counter = int(time.time()) // 30 + steps
    digest = hmac.digest(base64.b32decode(secret), struct.pack(">Q", counter), "sha1")
    offset = digest[-1] & 15
    (number,) = struct.unpack(">I", digest[offset : offset + 4])
    return f"{(number & 0x7FFFFFFF) % 1_000_000:06d}"


def wrong(secret: str) -> str:
    """Six digits that are no code of these minutes."""
    near = {code(secret, steps=steps) for steps in range(-3, 4)}
    return next(digits for digits in ("000000", "111111", "222222") if digits not in near)
