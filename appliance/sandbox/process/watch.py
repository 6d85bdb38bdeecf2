"""Watching a running job: its output, its end, its time limit, and whether anybody still wants it."""

import json
import math
import os
import select
import signal
import socket
import time

from appliance.sandbox.process import wire
from appliance.sandbox.process.capture import HeadTail, LiveFeed
from appliance.sandbox.process.checkpoint import CheckpointWatch
from appliance.sandbox.process.request import Request

_GRACE = 2.0
_LINGER = 0.25
_LINGER_STEP = 0.01
_PIECE = 1 << 16


class _Stream:
    __slots__ = ("fd", "kept", "kind")

    def __init__(self, fd: int, kind: bytes, limit: int) -> None:
        os.set_blocking(fd, False)
        self.fd, self.kind, self.kept = fd, kind, HeadTail(limit)


class Watch:
    """The life of one job as its supervisor sees it."""

    __slots__ = (
        "_cancelled", "_checkpoint", "_cpu", "_deadline", "_handle", "_kill_at", "_live", "_open", "_outgoing",
        "_outlived", "_pid", "_poll", "_rss", "_socket", "_started", "_status", "_stopped", "_streams",
        "_timed_out", "_wakeup",
    )  # fmt: skip

    def __init__(
        self,
        request: Request,
        connection: socket.socket,
        wakeup: int,
        pid: int,
        stdout: int,
        stderr: int,
        checkpoint: CheckpointWatch | None = None,
    ) -> None:
        self._checkpoint = checkpoint
        self._pid, self._handle = pid, os.pidfd_open(pid)
        self._socket, self._wakeup = connection, wakeup
        connection.setblocking(False)
        limit = request.output_limit
        self._streams = (_Stream(stdout, wire.OUTPUT, limit), _Stream(stderr, wire.ERRORS, limit))
        self._open = {stream.fd: stream for stream in self._streams}
        self._live = LiveFeed() if request.live else None
        self._outgoing: bytes | memoryview = b""
        self._status: int | None = None
        self._timed_out = self._stopped = self._cancelled = self._outlived = False
        self._cpu, self._rss = [0.0, 0.0], 0
        self._started = time.monotonic()
        self._deadline = self._started + request.timeout
        self._kill_at = math.inf
        self._poll = select.poll()
        for fd in (self._handle, stdout, stderr, wakeup):
            self._poll.register(fd, select.POLLIN)
        self._poll.register(connection, select.POLLIN | select.POLLRDHUP)

    def until_over(self) -> None:
        """Return when the job ended, or when what is left of it has to be killed."""
        linger_until = math.inf
        while True:
            for fd, _ in self._poll.poll(self._wait(linger_until)):
                self._handle_event(fd)
            now = time.monotonic()
            self._show(now)
            if self._cancelled:
                return
            if self._status is not None:
                if self.reap():
                    return
                if linger_until == math.inf:
                    # A helper that still writes out what it got (`exec > >(tee log)`) may finish.
                    linger_until = (
                        min(now + _LINGER, self._deadline) if not self._asked_to_end else self._kill_at
                    )
                if now >= linger_until:
                    return
            elif now >= self._kill_at:
                self._outlived = True
                return
            elif now >= self._deadline and not self._asked_to_end:
                self._timed_out = True
                self._ask_to_end(now)

    @property
    def _asked_to_end(self) -> bool:
        return self._kill_at < math.inf

    def reap(self) -> bool:
        """Collect processes that ended. True when none is left, in whatever session or group."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return True
            if pid == 0:
                return False
            if pid == self._pid:
                self._status = status
            self._cpu[0] += usage.ru_utime
            self._cpu[1] += usage.ru_stime
            self._rss = max(self._rss, usage.ru_maxrss * 1024)

    def drain(self) -> None:
        """Take what still lies in the pipes."""
        for stream in list(self._open.values()):
            while self._read(stream):
                pass

    def outcome(self, started_at: float, *, ended: bool) -> bytes:
        """The frames that end the conversation: live output still held back, a checkpoint, the result."""
        frames = bytes(self._outgoing)
        if self._live and self._live.due() is not None:
            frames += self._live.take(time.monotonic())
        code = None if self._status is None else os.waitstatus_to_exitcode(self._status)
        if self._checkpoint and not self._cancelled:
            frames += self._checkpoint.last(
                by_itself=ended and code is not None and code >= 0, outlived=self._outlived
            )
        description = {
            "exit_status": code if code is not None and code >= 0 else None,
            # Without a status it was killed, but hangs in the kernel: it will end by that signal.
            "signal": signal.SIGKILL if code is None else (-code if code < 0 else None),
            "timed_out": self._timed_out,
            "cancelled": self._cancelled,
            "stopped": self._stopped,
            "started_at": started_at,
            "duration": time.monotonic() - self._started,
            "usage": [*self._cpu, self._rss],
        }
        parts: list[bytes] = []
        for name, stream in zip(("stdout", "stderr"), self._streams, strict=True):
            head, tail = bytes(stream.kept.head), stream.kept.tail
            description[name] = [len(head), len(tail), stream.kept.total]
            parts += (head, tail)
        return frames + wire.frame(wire.RESULT, wire.pack_result(json.dumps(description).encode(), *parts))

    def _wait(self, linger_until: float) -> float:
        """How long to sleep, in milliseconds."""
        if self._status is not None:
            return _LINGER_STEP * 1000  # nothing tells of the end of a grandchild
        until = min(linger_until, self._kill_at if self._asked_to_end else self._deadline)
        if self._checkpoint and not self._outgoing:
            until = min(until, self._checkpoint.due)
        if self._live and not self._outgoing:
            due = self._live.due()
            until = until if due is None else min(until, due)
        return max(0.0, math.ceil((until - time.monotonic()) * 1000))

    def _handle_event(self, fd: int) -> None:
        if fd in self._open:
            self._read(self._open[fd])
        elif fd == self._handle:
            self._poll.unregister(fd)
            self.reap()
        elif fd == self._wakeup:
            self._cancelled = True
        else:
            self._hear_client()

    def _hear_client(self) -> None:
        """It closes or shuts its side, or asks the job to end: it says nothing else once the job runs."""
        try:
            said = self._socket.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            said = b""
        if not said:
            self._cancelled = True
        elif wire.STOP in said and not self._asked_to_end:
            self.reap()  # one that has just ended by itself has its own result
            if self._status is None:
                self._stopped = True
                self._ask_to_end(time.monotonic())

    def _read(self, stream: _Stream) -> bool:
        try:
            data = os.read(stream.fd, _PIECE)
        except BlockingIOError:
            return False
        if not data:
            self._poll.unregister(stream.fd)
            del self._open[stream.fd]
            return False
        stream.kept.add(data)
        if self._live:
            self._live.add(stream.kind, data)
        return True

    def _show(self, now: float) -> None:
        """Send live output without ever waiting for a slow client: it misses some then."""
        if self._checkpoint and self._status is None and not self._outgoing and now >= self._checkpoint.due:
            self._outgoing = memoryview(self._checkpoint.look(now))
        if self._live and not self._outgoing:
            due = self._live.due()
            if due is not None and due <= now:
                self._outgoing = self._live.take(now)
        if self._outgoing:
            try:
                sent = self._socket.send(self._outgoing)
            except BlockingIOError:
                sent = 0
            except OSError:
                self._cancelled = True
                return
            self._outgoing = self._outgoing[sent:]
            wanted = select.POLLOUT if self._outgoing else 0
            self._poll.modify(self._socket, select.POLLIN | select.POLLRDHUP | wanted)

    def _ask_to_end(self, now: float) -> None:
        """With a moment in which it may write its checkpoint. A stopped process hears it only when it goes on."""
        self._kill_at = now + _GRACE
        if self._checkpoint:
            self._outgoing = memoryview(bytes(self._outgoing) + self._checkpoint.ending(now))
            self._show(now)
        for number in (signal.SIGTERM, signal.SIGCONT):
            try:
                os.killpg(self._pid, number)
            except (ProcessLookupError, PermissionError):
                return
