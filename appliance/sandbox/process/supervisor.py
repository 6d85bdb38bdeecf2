"""The process that every process of a job stays below: it waits for clients, and serves one after another."""

# pathlib is not loaded in the spawner
# ruff: noqa: PTH208

import errno
import json
import os
import select
import signal
import socket

from appliance.sandbox.process import kernel, landlock, places, tree, workfolder
from appliance.sandbox.process.crew import OVER
from appliance.sandbox.process.one_job import PATIENCE, OneJob
from appliance.sandbox.process.options import Options
from appliance.sandbox.process.post import Post
from appliance.sandbox.process.request import parse_request

_MOST_JOBS = 1000  # of one supervisor: whatever grows in it ends with it
_SAMPLE = json.dumps(
    {
        "argv": ["true"], "workdir": None, "env": {}, "timeout": 1, "reads": [], "writes": [],
        "output_limit": 0, "live": False, "checkpoint": None, "pins": {}, "executable": "", "cgroup": "", "files": {},
        "limits": {
            "memory": 1 << 20, "processes": 1, "open_files": 16, "file_bytes": 0, "cpu_seconds": None,
        },
    }
).encode()  # fmt: skip


class Supervisor:
    """Lives in a process that is forked ahead of its jobs; ``line`` is where the spawner hands clients over."""

    __slots__ = ("_kept", "_line", "_post")

    def __init__(
        self,
        options: Options,
        allowed: places.Places,
        filters: dict[bool, bytes | None],
        name: str,
        spawner: int,
        line: socket.socket,
    ) -> None:
        wakeup, write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._post = Post(options, allowed, filters, name, spawner, wakeup)
        self._line = line
        signal.signal(signal.SIGTERM, _note)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        kernel.adopt_orphans()
        self._warm_up()
        self._kept = _open_files()

    def serve(self) -> None:
        """Serve the clients that come on the line, until it ends or something was out of the ordinary."""
        # SIGTERM, not SIGKILL: the tree must be ended first, also when the spawner was killed.
        if not kernel.die_with_parent(signal.SIGTERM, self._post.spawner):
            return
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        jobs = 0
        while (connection := self._await_client()) is not None:
            jobs += 1
            with connection:
                ordinary = self._supervise(connection)
            # Whoever met anything else, or has worked long, is replaced by a new one.
            if not ordinary or jobs >= _MOST_JOBS or self._post.told_to_stop():
                return
            self._close_what_it_opened()
            try:
                self._line.send(OVER)
            except OSError:
                return  # the spawner was killed

    def _supervise(self, connection: socket.socket) -> bool:
        """Serve one client; whether it was ordinary. Nothing of the job is left when this returns."""
        try:
            return OneJob(self._post, connection).serve()
        finally:
            _end_everything_left()
            workfolder.remove(self._post.options.spool, self._post.name)

    def _close_what_it_opened(self) -> None:
        for fd in _open_files() - self._kept:
            try:
                os.close(fd)
            except OSError:
                continue  # that of the list itself

    def _warm_up(self) -> None:
        """Do once what the job will need: memory shared since the fork is copied before a client waits."""
        version = landlock.abi()
        sample = parse_request(_SAMPLE)
        if version:
            folder = os.open("/", os.O_PATH | os.O_CLOEXEC)
            rules = self._post.places.rules(version)
            self._post.places.declare(rules, sample, folder)
            os.close(rules.fd)
            os.close(folder)

    def _await_client(self) -> socket.socket | None:
        """The next client; None when no more come."""
        poller = select.poll()
        poller.register(self._line, select.POLLIN)
        poller.register(self._post.wakeup, select.POLLIN)
        ready = {fd for fd, _ in poller.poll()}
        if self._post.wakeup in ready:
            return None
        _, fds, _, _ = socket.recv_fds(self._line, 16, 1)
        for fd in fds:
            os.set_inheritable(fd, False)  # received files are, whatever is asked for (CPython 3.11)
        return socket.socket(fileno=fds[0]) if fds else None


def _open_files() -> frozenset[int]:
    """The numbers of this process's open files, and of the list itself, which is closed by now."""
    return frozenset(int(name) for name in os.listdir("/proc/self/fd"))


def _note(number: int, frame: object) -> None:
    """Nothing to do here: the wake-up pipe tells."""


def _end_everything_left() -> None:
    """Wait for the last process below, however long the kernel holds it: then its folder can go."""

    def gone() -> bool:
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except OSError as error:
                return error.errno == errno.ECHILD
            if pid == 0:
                return False

    while not tree.end(os.getpid(), gone, patience=PATIENCE):
        pass
