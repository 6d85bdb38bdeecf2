"""What guard has refused lately, for whoever puts it on record: guard itself has no database."""

import contextlib
import logging
import math
import secrets
import socket
import struct
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum

from appliance.sandbox.process.request import Refused

log = logging.getLogger(__name__)

MOST = 256
"""Refusals that are kept. Of those before them their number tells how many are missing."""
KEEP_SECONDS = 3600.0
"""How long one is kept. Who reads them looks every few seconds, and may forget what was told long ago."""
_LONGEST = 300
MOST_LINES = 20
"""Lines in the log of one minute; the refusals are kept all the same."""
_LINES_SECONDS = 60.0
_CREDENTIALS = struct.Struct("3i")


class Cause(StrEnum):
    """At which of guard's doors."""

    PEER = "peer"
    """Who asked may not."""
    SCHEMA = "schema"
    """What was asked is none of the requests that guard takes."""
    JOB = "job"
    """The request is one, but this box does not let it be: template, image, folder, device."""


@dataclass(frozen=True, slots=True)
class _Kept:
    number: int
    at: float
    cause: str
    message: str
    uid: int
    pid: int


class Refusals:
    """Numbered from 1 in each life of guard, so that a reader can tell what is new to it."""

    def __init__(self) -> None:
        self._life = secrets.token_hex(8)
        self._number = 0
        self._forgotten = 0
        self._minute = -math.inf
        self._lines = 0
        self._kept: deque[_Kept] = deque(maxlen=MOST)

    @contextlib.contextmanager
    def at(self, cause: Cause, connection: socket.socket) -> Iterator[None]:
        """Note what is refused inside, and let it through."""
        try:
            yield
        except Refused as error:
            self._note(cause, connection, error.message)
            raise

    def _note(self, cause: Cause, connection: socket.socket, message: str) -> None:
        pid, uid = _peer(connection)
        self._number += 1
        said = message[:_LONGEST]
        self._say(
            "refused (%s) process %d of user %d: %r", cause, pid, uid, said
        )  # quoted: it may hold new lines
        self._kept.append(_Kept(self._number, time.time(), cause.value, said, uid, pid))

    def _say(self, line: str, *values: object) -> None:
        """In the log, as long as there is room in this minute: whoever asks may ask very often."""
        now = time.monotonic()
        if now - self._minute >= _LINES_SECONDS:
            if (more := self._lines - MOST_LINES) > 0:
                log.warning("%d further refusals were not logged", more)
            self._minute, self._lines = now, 0
        self._lines += 1
        if self._lines <= MOST_LINES:
            log.warning(line, *values)

    def to_json(self) -> dict[str, object]:
        """``forgotten``: the number up to which they have gone with time, and are missed by nobody."""
        oldest = time.time() - KEEP_SECONDS
        while self._kept and self._kept[0].at < oldest:
            self._forgotten = self._kept.popleft().number
        kept = [asdict(one) for one in self._kept]
        return {"life": self._life, "forgotten": self._forgotten, "refusals": kept}


def _peer(connection: socket.socket) -> tuple[int, int]:
    """Process and user of who asks; -1 where the kernel does not tell."""
    try:
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    except OSError:
        return -1, -1
    pid, uid, _ = _CREDENTIALS.unpack(raw)
    return pid, uid
