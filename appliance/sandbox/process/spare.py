"""A connection to the spawner that is made ahead: whoever asks next finds a supervisor that listens already, and a
process that waits for its command.
"""

import asyncio
import socket
from pathlib import Path

from appliance.sandbox.process import wire

PAUSE = 0.01
"""Seconds after a job until the next connection is made: what follows the job goes first."""
KEPT = 3.0
"""Seconds for which it is kept; a supervisor waits five for its request."""


class Spare:
    """At most one. Everything is called on one event loop."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._connection: socket.socket | None = None
        self._prepared: str | None = None
        """The control group of the process that waits there; None where none waits."""
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_made(self) -> bool:
        return self._connection is not None

    @property
    def is_prepared(self) -> bool:
        return self._connection is not None and self._prepared is not None

    @property
    def has_been_answered(self) -> bool:
        """Whether the other side left, or said that it takes no job."""
        return self._connection is not None and not is_silent(self._connection)

    def take(self, group: str = "") -> socket.socket | None:
        """The connection, which is the caller's now, for a job in that control group; None where there is none that
        still stands, or where a process waits in another group."""
        if self._prepared is not None and self._prepared != group:
            return None
        connection, self._connection = self._connection, None
        self._prepared = None
        self._forget_timer()
        if connection is not None and not is_silent(connection):
            connection.close()
            return None
        return connection

    def prepare(self, group: str) -> None:
        """Have a process made at once that waits for its command in that control group; empty for none."""
        if self._connection is None:
            self._forget_timer()
            self._make()
        if self._connection is None or self._prepared is not None:
            return
        try:
            self._connection.send(wire.frame(wire.PREPARE, group.encode()))
        except OSError:
            self.close()
        else:
            self._prepared = group

    def make_soon(self, group: str | None = None) -> None:
        """Have one again in a moment, for as long as somebody may come soon; prepared where a group is named."""
        if group is not None and self._connection is not None:
            self.prepare(group)  # one that was made while other jobs ran
        elif self._connection is None and self._timer is None:
            make = self._make if group is None else lambda: self.prepare(group)
            self._timer = asyncio.get_running_loop().call_later(PAUSE, make)

    def close(self) -> None:
        connection, self._connection = self._connection, None
        self._prepared = None
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
        self._timer = asyncio.get_running_loop().call_later(KEPT, self.close)

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def is_silent(connection: socket.socket) -> bool:
    """Whether the other side neither left nor said anything, which would be that it takes no job."""
    try:
        connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
