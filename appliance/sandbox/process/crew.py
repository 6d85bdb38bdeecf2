"""The supervisors of a spawner: made ahead of their jobs, used one job after another, let go when too many wait.

What a fork shares with its parent is copied page by page at its first use, which costs several times what a job
itself needs. So a supervisor whose job is over, with nothing left of it, takes the next one.
"""

import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator

TAKE, OVER = b"t", b"o"
"""What is said on the line: with a client's connection, and when nothing is left of its job."""
_FEWEST_IDLE = 2
_REST = 0.01  # seconds before another one is made, while one waits: the job that was just taken goes first
_UNUSED = 5.0  # seconds after which one of more than the fewest is let go
_FORK_PAUSE = 0.1

Work = Callable[[str, socket.socket], None]
"""What a new process does, with the name of its folders and its end of the line. It never returns."""


class Member:
    """One supervisor as the spawner sees it: its process, the name of its jobs' folders, and the line to it."""

    __slots__ = ("line", "name", "pid", "since")

    def __init__(self, pid: int, name: str, line: socket.socket) -> None:
        self.pid, self.name, self.line = pid, name, line
        self.since = time.monotonic()


class Crew:
    """``most`` of them may work at once. Their lines stand in ``poller``; ``heard`` is for what comes there."""

    __slots__ = ("_busy", "_idle", "_lines", "_make_at", "_most", "_poller", "_work")

    def __init__(self, work: Work, most: int, poller: "select.poll") -> None:
        self._work, self._most, self._poller = work, most, poller
        self._idle: list[Member] = []  # who worked last stands at the end: its memory is warm
        self._busy: dict[int, Member] = {}
        self._lines: dict[int, Member] = {}
        self._make_at = 0.0

    def __iter__(self) -> Iterator[Member]:
        yield from self._idle
        yield from self._busy.values()

    @property
    def has_idle(self) -> bool:
        return bool(self._idle)

    @property
    def busy(self) -> Iterable[int]:
        """The processes of those that have a job."""
        return self._busy.keys()

    @property
    def is_full(self) -> bool:
        return len(self._busy) >= self._most

    @property
    def _wanted(self) -> int:
        return min(_FEWEST_IDLE, self._most - len(self._busy))

    def rest(self) -> float | None:
        """Milliseconds until ``tend`` has something to do; None when it has nothing."""
        if len(self._idle) == self._wanted:
            return None
        at = self._make_at if len(self._idle) < self._wanted else self._idle[0].since + _UNUSED
        return max(1.0, (at - time.monotonic()) * 1000)

    def tend(self) -> None:
        """Make supervisors where too few wait, and let one go that nobody needed."""
        now = time.monotonic()
        if len(self._idle) > self._wanted and now >= self._idle[0].since + _UNUSED:
            self._hang_up(self._idle[0])  # it ends, and is struck off when it is reaped
            self._idle[0].since = now
        while len(self._idle) < self._wanted and (not self._idle or now >= self._make_at):
            if not self._make():
                break

    def _make(self) -> bool:
        name = os.urandom(8).hex()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # Until the child has its own handlers, a signal meant for it must wait.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD))
        try:
            pid = os.fork()
            if pid == 0:
                _close(ours, *(member.line for member in self._lines.values()))
                self._work(name, theirs)
        except OSError as error:
            ours.close()
            print(f"spawner: cannot make a process: {error}", file=sys.stderr, flush=True)
            time.sleep(_FORK_PAUSE)
            return False
        finally:
            theirs.close()
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        member = Member(pid, name, ours)
        self._lines[ours.fileno()] = member
        self._poller.register(ours, select.POLLIN)
        self._idle.append(member)
        return True

    def give(self, connection: socket.socket) -> None:
        """Hand a client to a supervisor that waits. One that was killed just now hangs up on it."""
        member = self._idle.pop()
        self._busy[member.pid] = member
        self._make_at = time.monotonic() + _REST
        try:
            socket.send_fds(member.line, [TAKE], [connection.fileno()])
        except OSError:
            return  # the client hears nothing more, and knows by that: no job was begun

    def heard(self, fds: Iterable[int]) -> None:
        """Take what the lines say: a job is over, or a supervisor has ended."""
        for fd in fds:
            member = self._lines.get(fd)
            if member is None:
                continue
            try:
                said = member.line.recv(16)
            except OSError:
                said = b""
            if not said:
                self._hang_up(member)
            elif self._busy.pop(member.pid, None):
                member.since = time.monotonic()
                self._idle.append(member)

    def _hang_up(self, member: Member) -> None:
        if self._lines.pop(member.line.fileno(), None):
            self._poller.unregister(member.line)
            member.line.close()

    def gone(self, pid: int) -> str | None:
        """Strike off a process that has ended; the name of its folders, None where it was none of these."""
        member = next((one for one in self if one.pid == pid), None)
        if member is None:
            return None
        self._hang_up(member)
        if self._busy.pop(pid, None) is None:
            self._idle.remove(member)
        return member.name


def _close(*lines: socket.socket) -> None:
    for line in lines:
        line.close()
