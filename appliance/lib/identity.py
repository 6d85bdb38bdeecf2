"""Identifiers that carry their time in the first 48 bits, so that a table can be partitioned by its key.

``uuid7`` follows RFC 9562. ``uuid_at`` is its deterministic sibling (version 8): the same time and the same
digest give the same identifier, which turns "exactly one row for this due time" into a primary key.
"""

import hashlib
import secrets
import threading
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_lock = threading.Lock()
_last = (0, 0)


def _milliseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(milliseconds=1)


def _assemble(ms: int, version: int, rand_a: int, rand_b: int) -> UUID:
    value = (ms & ((1 << 48) - 1)) << 80
    value |= version << 76
    value |= (rand_a & 0xFFF) << 64
    value |= 0b10 << 62
    value |= rand_b & ((1 << 62) - 1)
    return UUID(int=value)


def uuid7(at: datetime | None = None) -> UUID:
    """A new identifier; within one process, ids made in one millisecond keep their order."""
    global _last
    if at is not None:
        return _assemble(_milliseconds(at), 7, secrets.randbits(12), secrets.randbits(62))
    ms = time.time_ns() // 1_000_000
    with _lock:
        last_ms, counter = _last
        counter = counter + 1 if ms == last_ms else secrets.randbits(10)
        _last = (ms, counter)
    return _assemble(ms, 7, counter, secrets.randbits(62))


def uuid_at(at: datetime, *parts: str) -> UUID:
    """The one identifier of ``parts`` at the time ``at`` (millisecond precision)."""
    digest = hashlib.sha256("\x1f".join(parts).encode()).digest()
    number = int.from_bytes(digest[:10], "big")
    return _assemble(_milliseconds(at), 8, number >> 62, number)


def uuid_floor(at: datetime) -> UUID:
    """The smallest identifier of that millisecond: a partition bound or the start of a range."""
    return UUID(int=(_milliseconds(at) & ((1 << 48) - 1)) << 80)


def time_of(identifier: UUID) -> datetime:
    """When an identifier made here was made, in UTC, to the millisecond."""
    return _EPOCH + timedelta(milliseconds=identifier.int >> 80)
