"""How spawner and client speak: frames of one kind byte, a four-byte length and so many bytes.

A connection carries one request frame one way, with the bytes of an earlier checkpoint behind it where it says
so, and then, the other way, STARTED, any number of live OUTPUT and ERRORS pieces, of CHECKPOINT contents and of
NOTE texts about checkpoints that cannot be kept, and one RESULT; or a single REFUSED, UNAVAILABLE or FACTS. A
client that shuts its side cancels the job. One that sends STOP once it has begun asks it to end: it gets SIGTERM and
a moment to write its checkpoint, as at its time limit.

Before the request there may be one PREPARE, with the name of the control group that the job will begin in, or
none: its process is made then, and waits.
"""

import struct

REQUEST, PROBE, PREPARE, STOP = b"Q", b"P", b"A", b"t"
STARTED, OUTPUT, ERRORS, RESULT = b"s", b"o", b"e", b"r"
CHECKPOINT, NOTE = b"k", b"n"
REFUSED, UNAVAILABLE, FACTS, WATCHED = b"x", b"u", b"f", b"w"

MAX_REQUEST = 4 << 20
HEADER = struct.Struct("!cI")
_LENGTH = struct.Struct("!I")


def frame(kind: bytes, payload: bytes = b"") -> bytes:
    """One frame, ready to send."""
    return HEADER.pack(kind, len(payload)) + payload


def pack_result(description: bytes, *parts: bytes) -> bytes:
    """The RESULT payload: a JSON description, then the captured bytes whose lengths it tells."""
    return b"".join((_LENGTH.pack(len(description)), description, *parts))


def unpack_result(payload: bytes) -> tuple[bytes, memoryview]:
    """The JSON description, and the captured bytes behind it."""
    (length,) = _LENGTH.unpack_from(payload)
    start = _LENGTH.size
    return payload[start : start + length], memoryview(payload)[start + length :]
