"""A connection to the spawner that is made ahead: whoever asks next finds a supervisor that listens already."""

import asyncio
import socket
from pathlib import Path

_PAUSE = 0.01
"""Seconds after a job until the next connection is made: what follows the job goes first."""
_KEPT = 3.0
"""Seconds for which it is kept; a supervisor waits five for its request."""


class Spare:
    """At most one. Everything is called on one event loop."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._connection: socket.socket | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_made(self) -> bool:
        return self._connection is not None

    @property
    def has_been_answered(self) -> bool:
        """Whether the other side left, or said that it takes no job."""
        return self._connection is not None and not _is_silent(self._connection)

    def take(self) -> socket.socket | None:
        """The connection, which is the caller's now; None where there is none that still stands."""
        connection, self._connection = self._connection, None
        self._forget_timer()
        if connection is not None and not _is_silent(connection):
            connection.close()
            return None
        return connection

    def make_soon(self) -> None:
        """Have one again in a moment, for as long as somebody may come soon."""
        if self._connection is None and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_PAUSE, self._make)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        self._forget_timer()
        if connection is not None:
            connection.close()

    def _make(self) -> None:
        self._timer = None
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            connection.connect(self._path)
        except OSError:  # away, or many wait at its socket
            connection.close()
            return
        self._connection = connection
        self._timer = asyncio.get_running_loop().call_later(_KEPT, self.close)

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _is_silent(connection: socket.socket) -> bool:
    """Whether the other side neither left nor said anything, which would be that it takes no job."""
    try:
        connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
