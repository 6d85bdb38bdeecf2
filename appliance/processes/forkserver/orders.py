"""The process manager's end of the fork server: it orders a service, and takes it for a child of its own.

Standard library only. The process manager may be root and the fork server is not: nothing that it says is believed
which the kernel does not confirm.
"""

import ctypes
import os
import socket
import struct
from collections.abc import Container
from pathlib import Path

from appliance.processes import launch

ANSWER_SECONDS = 5.0
LOADED, UP, GO = b"loaded", b"up", b"go"

_PR_SET_CHILD_SUBREAPER = 36
_CREDENTIALS = struct.Struct("3i")
"""struct ucred, unix(7): process, user, group."""


class Orders:
    """One fork server at a time. ``pids`` is the folder in which each service is noted before it begins."""

    def __init__(self, pids: Path) -> None:
        self._pids = pids
        self._door: socket.socket | None = None
        self._loaded = False
        # A service is left behind by who forked it, and then becomes the child of the nearest such ancestor.
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1), 0, 0, 0)

    def open_door(self) -> socket.socket:
        """For a fork server that is about to start: its standard input. What an earlier one was told is void."""
        self.close()
        self._door, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return theirs

    def fork(self, name: str, stdin: int, stdout: int, taken: Container[int]) -> int | None:
        """Start a service with these descriptors, and give its process, which is not among ``taken``.

        None where it must be started as any other program: there is no fork server, it still loads, or it does not
        do as it should. Raises OSError where the process cannot be noted.
        """
        if not self._is_loaded():
            return None
        ours, gate = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            ours.settimeout(ANSWER_SECONDS)
            try:
                with gate:
                    self._order(name, [stdin, stdout, gate.fileno()])
                pid = _sender(ours)
            except OSError:
                pid = 0
            # Not one that is known by another name: it would be ended in the other's place.
            if pid in taken or launch.parent_of(pid) != os.getpid():
                self.close()
                return None
            launch.remember(self._pids, name, pid)
            try:
                ours.send(GO)
            except OSError:
                pass  # it has ended already, and that will be seen
            return pid

    def close(self) -> None:
        """A fork server that still runs ends, and is started anew."""
        self._loaded = False
        if self._door is not None:
            self._door.close()
            self._door = None

    def _order(self, name: str, descriptors: list[int]) -> None:
        assert self._door is not None
        socket.send_fds(self._door, [name.encode()], descriptors, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)

    def _is_loaded(self) -> bool:
        if self._door is not None and not self._loaded:
            try:
                self._loaded = self._door.recv(len(LOADED), socket.MSG_DONTWAIT) == LOADED
            except OSError:
                return False
        return self._loaded


def _sender(connection: socket.socket) -> int:
    """Who has said that it is up, by the kernel's word; 0 when nobody has. Raises OSError."""
    said, told, _, _ = connection.recvmsg(len(UP), socket.CMSG_SPACE(_CREDENTIALS.size))
    for level, kind, data in told:
        if said == UP and level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
            return int(_CREDENTIALS.unpack(data[: _CREDENTIALS.size])[0])
    return 0
