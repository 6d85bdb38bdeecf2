"""One job from its request to its outcome, in a process that every process of the job stays below."""

import errno
import json
import os
import select
import signal
import socket
import struct
import sys
import time

from appliance.sandbox.process import (
    checkpoint,
    confine,
    kernel,
    landlock,
    peer,
    places,
    seccomp,
    tree,
    wire,
    workfolder,
)
from appliance.sandbox.process.options import Options
from appliance.sandbox.process.pins import check_pins
from appliance.sandbox.process.request import Refused, Request, parse_request, read_exactly, read_frame
from appliance.sandbox.process.watch import Watch

_SEND_SECONDS = 10.0
_PATIENCE = 5.0
_SAMPLE = json.dumps(
    {
        "argv": ["true"], "workdir": None, "env": {}, "timeout": 1, "reads": [], "writes": [],
        "output_limit": 0, "live": False, "checkpoint": None, "pins": {}, "executable": "", "limits": {
            "memory": 1 << 20, "processes": 1, "open_files": 16, "file_bytes": 0, "cpu_seconds": None,
        },
    }
).encode()  # fmt: skip
_NO_LANDLOCK = "This machine has no Landlock, without which no command is run."
_LANDLOCK_HINT = (
    "Use Linux 5.13 or newer with CONFIG_SECURITY_LANDLOCK, and add landlock to the lsm= list of the kernel"
    " command line; in a container, use a seccomp profile that allows the landlock_* calls."
)


class Unavailable(Exception):
    """No job can be run here; the text says why."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Supervisor:
    """Runs one job. Lives in a process that is forked for it ahead of time, and waits there for a client."""

    __slots__ = ("_connection", "_filters", "_name", "_options", "_places", "_spawner", "_wakeup")

    def __init__(
        self,
        options: Options,
        allowed: places.Places,
        filters: dict[bool, bytes | None],
        name: str,
        spawner: int,
    ) -> None:
        self._options, self._places, self._name, self._spawner = options, allowed, name, spawner
        self._filters = filters
        self._connection: socket.socket | None = None
        self._wakeup, write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.signal(signal.SIGTERM, _note)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        kernel.adopt_orphans()
        self._warm_up()

    def supervise(self, listener: socket.socket, taken: int) -> None:
        """Wait for one client, tell ``taken``, and serve it; nothing of the job is left when this returns."""
        # SIGTERM, not SIGKILL: the tree must be ended first, also when the spawner was killed.
        if not kernel.die_with_parent(signal.SIGTERM, self._spawner):
            return
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        self._connection = self._await_client(listener)
        if self._connection is None:
            return
        # Closed before anything else: a client must not queue at a socket whose spawner was killed.
        listener.close()
        os.write(taken, struct.pack("=i", os.getpid()))
        try:
            self._converse(self._connection)
        except Refused as refusal:
            self._reply(wire.REFUSED, {"message": refusal.message, "hint": refusal.hint})
        except Unavailable as error:
            self._reply(wire.UNAVAILABLE, {"message": error.message, "hint": error.hint})
        except (TimeoutError, ConnectionError, EOFError):
            return  # the client went away before it said what it wants
        finally:
            _end_everything_left()
            workfolder.remove(self._options.spool, self._name)

    def _warm_up(self) -> None:
        """Do once what the job will need: memory shared since the fork is copied before a client waits."""
        version = landlock.abi()
        sample = parse_request(_SAMPLE)
        if version:
            folder = os.open("/", os.O_PATH | os.O_CLOEXEC)
            os.close(self._places.rules(sample, folder, version).fd)
            os.close(folder)

    def _await_client(self, listener: socket.socket) -> socket.socket | None:
        poller = select.poll()
        poller.register(listener, select.POLLIN)
        poller.register(self._wakeup, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poller.poll()}
            if self._wakeup in ready:
                return None
            try:
                return listener.accept()[0]
            except (BlockingIOError, ConnectionError):
                continue  # another supervisor was faster, or the client left

    def _converse(self, connection: socket.socket) -> None:
        shared = self._options.uid is None
        peer.check(
            connection,
            self._spawner,
            peer_uid=self._options.peer_uid,
            jobs_share_user=shared,
            jobs_have_numbers=True,
        )
        kind, payload = read_frame(connection)
        if kind == wire.PROBE:
            self._reply(wire.FACTS, self._facts())
        else:
            request = parse_request(payload)
            size = request.checkpoint.initial if request.checkpoint else 0
            self._serve(connection, request, read_exactly(connection, size))

    def _facts(self) -> dict[str, object]:
        version = landlock.abi()
        return {
            "landlock_abi": version,
            "signals_scoped": version >= landlock.SCOPES_SINCE,
            "system_calls_filtered": seccomp.architecture() is not None,
            "own_user": self._options.uid is not None,
            "uid": self._options.uid if self._options.uid is not None else os.geteuid(),
        }

    def _serve(self, connection: socket.socket, request: Request, earlier: bytes) -> None:
        plan = self._plan(request)
        kept = self._checkpoint(plan, earlier)
        out_read, out_write = os.pipe2(os.O_CLOEXEC)
        err_read, err_write = os.pipe2(os.O_CLOEXEC)
        status_read, status_write = os.pipe2(os.O_CLOEXEC)
        for fd in (out_write, err_write):
            if plan.uid is not None:
                os.fchown(fd, plan.uid, plan.gid)  # so that the job can open /dev/stdout and /dev/stderr
        check_pins(request.pins)
        if self._told_to_stop():
            raise Unavailable("The spawner is stopping.", "Try again when it is back.")
        # Told before the fork: a client that never sees this knows that nothing ran.
        connection.sendall(wire.frame(wire.STARTED))
        started_at, supervisor = time.time(), os.getpid()
        pid = os.fork()
        if pid == 0:
            confine.become(plan, supervisor, out_write, err_write, status_write)
            os._exit(125)
        for fd in (out_write, err_write, status_write, plan.rules.fd, plan.workdir_fd):
            os.close(fd)
        watch = Watch(request, connection, self._wakeup, pid, out_read, err_read, kept)
        watch.until_over()
        ended = tree.end(supervisor, watch.reap, patience=_PATIENCE)
        watch.drain()
        if trouble := os.read(status_read, 4096).decode("utf-8", "replace") if ended else "":
            raise Unavailable(f"The command could not be confined, so it was not run: {trouble}.")
        if not ended:
            print(f"spawner: job {self._name} has processes that do not end", file=sys.stderr, flush=True)
        self._send(watch.outcome(started_at, ended=ended))

    def _checkpoint(self, plan: confine.Plan, earlier: bytes) -> checkpoint.CheckpointWatch | None:
        """Put back what an earlier life left, and watch what this one writes."""
        asked = plan.request.checkpoint
        if asked is None:
            return None
        plan.request.env[checkpoint.VARIABLE] = f"{plan.workdir}/{checkpoint.NAME}"
        try:
            if earlier:
                checkpoint.put_back(plan.workdir_fd, earlier, plan.uid, plan.gid or 0)
            return checkpoint.CheckpointWatch(os.dup(plan.workdir_fd), asked, time.monotonic())
        except OSError as error:
            raise Unavailable(f"The checkpoint could not be put back: {error}.") from error

    def _told_to_stop(self) -> bool:
        try:
            return bool(os.read(self._wakeup, 1))
        except BlockingIOError:
            return False

    def _plan(self, request: Request) -> confine.Plan:
        version = landlock.abi()
        if not version:
            raise Unavailable(_NO_LANDLOCK, _LANDLOCK_HINT)
        uid, gid = self._options.uid, self._options.gid
        try:
            if request.workdir is None:
                own = (os.geteuid(), os.getegid()) if uid is None else (uid, gid)
                workdir, workdir_fd = workfolder.make(self._options.spool, self._name, *own)
            else:
                workdir, workdir_fd = self._places.open_workdir(request.workdir)
            rules = self._places.rules(request, workdir_fd, version)
        except OSError as error:
            raise Unavailable(f"The sandbox could not be prepared: {error}.") from error
        filtered = self._filters[places.declares_socket(request)]
        return confine.Plan(request, workdir, workdir_fd, rules, filtered, uid, gid)

    def _reply(self, kind: bytes, value: dict[str, object]) -> None:
        self._send(wire.frame(kind, json.dumps(value).encode()))

    def _send(self, frames: bytes) -> None:
        if self._connection is None:
            return
        try:
            self._connection.settimeout(_SEND_SECONDS)
            self._connection.sendall(frames)
            self._connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # the client is gone, and with it the wish to know


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

    while not tree.end(os.getpid(), gone, patience=_PATIENCE):
        pass
