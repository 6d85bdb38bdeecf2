"""One job, from its request to its outcome, inside the process of a supervisor."""

import json
import os
import select
import socket
import sys
import time

from appliance.sandbox.process import (
    checkpoint,
    confine,
    daemons,
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
from appliance.sandbox.process.request import (
    REQUEST_SECONDS,
    Refused,
    Request,
    parse_request,
    read_exactly,
    read_frame,
)
from appliance.sandbox.process.watch import Watch

_SEND_SECONDS = 10.0
PATIENCE = 5.0
"""Seconds for the processes of a job to end when they are killed."""
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


class Post:
    """What a supervisor has for all its jobs; ``wakeup`` can be read when it is told to stop."""

    __slots__ = ("daemons", "filters", "name", "options", "places", "spawner", "wakeup")

    def __init__(
        self,
        options: Options,
        allowed: places.Places,
        filters: dict[bool, bytes | None],
        name: str,
        spawner: int,
        wakeup: int,
    ) -> None:
        self.options, self.places, self.filters = options, allowed, filters
        self.daemons = daemons.Daemons(options.engine, options.uid, options.gid)
        self.name, self.spawner, self.wakeup = name, spawner, wakeup

    def told_to_stop(self) -> bool:
        try:
            return bool(os.read(self.wakeup, 1))
        except BlockingIOError:
            return False


class OneJob:
    """What one client wants."""

    __slots__ = ("_connection", "_post")

    def __init__(self, post: Post, connection: socket.socket) -> None:
        self._post, self._connection = post, connection

    def serve(self) -> bool:
        """Do it; whether all of it was ordinary. Processes of the job, and its folder, may be left."""
        try:
            return self._converse()
        except Refused as refusal:
            self._reply(wire.REFUSED, {"message": refusal.message, "hint": refusal.hint})
        except Unavailable as error:
            self._reply(wire.UNAVAILABLE, {"message": error.message, "hint": error.hint})
        except (TimeoutError, ConnectionError, EOFError):
            pass  # the client went away before it said what it wants
        return False

    def _converse(self) -> bool:
        connection, post = self._connection, self._post
        if post.options.uid is None:
            peer.check_descent(connection, post.spawner, jobs_have_numbers=True)
        if not self._is_asked():
            return True  # a connection that was made ahead, and that nobody needed
        kind, payload = read_frame(connection)
        if kind == wire.PROBE:
            self._reply(wire.FACTS, self._facts())
            return True
        request = parse_request(payload)
        size = request.checkpoint.initial if request.checkpoint else 0
        return self._run(request, read_exactly(connection, size))

    def _is_asked(self) -> bool:
        """Wait for the client's first word; False where it left without one. Raises TimeoutError, also when told to
        stop."""
        connection, wakeup = self._connection, self._post.wakeup
        poller = select.poll()
        for fd in (connection.fileno(), wakeup):
            poller.register(fd, select.POLLIN)
        ready = {fd for fd, _ in poller.poll(REQUEST_SECONDS * 1000)}
        if not ready or wakeup in ready:
            raise TimeoutError
        return bool(connection.recv(1, socket.MSG_PEEK))

    def _facts(self) -> dict[str, object]:
        version = landlock.abi()
        return {
            "landlock_abi": version,
            "signals_scoped": version >= landlock.SCOPES_SINCE,
            "system_calls_filtered": seccomp.architecture() is not None,
            "own_user": self._post.options.uid is not None,
            "uid": self._post.options.uid if self._post.options.uid is not None else os.geteuid(),
        }

    def _run(self, request: Request, earlier: bytes) -> bool:
        connection = self._connection
        plan = self._plan(request)
        kept = self._checkpoint(plan, earlier)
        out_read, out_write = os.pipe2(os.O_CLOEXEC)
        err_read, err_write = os.pipe2(os.O_CLOEXEC)
        status_read, status_write = os.pipe2(os.O_CLOEXEC)
        for fd in (out_write, err_write):
            if plan.uid is not None:
                os.fchown(fd, plan.uid, plan.gid)  # so that the job can open /dev/stdout and /dev/stderr
        cgroup = self._cgroup(request)
        check_pins(request.pins)
        if self._post.told_to_stop():
            raise Unavailable("The spawner is stopping.", "Try again when it is back.")
        # Told before the fork: a client that never sees this knows that nothing ran.
        connection.sendall(wire.frame(wire.STARTED))
        started_at, supervisor = time.time(), os.getpid()
        pid = os.fork() if cgroup is None else kernel.fork_into(cgroup)
        if pid == 0:
            confine.become(plan, supervisor, out_write, err_write, status_write)
            os._exit(125)
        for fd in (out_write, err_write, status_write, plan.rules.fd, plan.workdir_fd):
            os.close(fd)
        if cgroup is not None:
            os.close(cgroup)
        watch = Watch(request, connection, self._post.wakeup, pid, out_read, err_read, kept)
        watch.until_over()
        ended = tree.end(supervisor, watch.reap, patience=PATIENCE)
        watch.drain()
        if trouble := os.read(status_read, 4096).decode("utf-8", "replace") if ended else "":
            raise Unavailable(f"The command could not be confined, so it was not run: {trouble}.")
        if not ended:
            print(
                f"spawner: job {self._post.name} has processes that do not end", file=sys.stderr, flush=True
            )
        self._send(watch.outcome(started_at, ended=ended))
        return ended

    def _cgroup(self, request: Request) -> int | None:
        """The control group that guard has made for the job, opened; None where the job names none."""
        if not request.cgroup:
            return None
        folder = f"{self._post.options.cgroups}/{request.cgroup}"
        try:
            return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise Unavailable(f"The control group of the job is not there: {error}.") from error

    def _checkpoint(self, plan: confine.Plan, earlier: bytes) -> checkpoint.CheckpointWatch | None:
        """Put back what an earlier life left, and watch what this one writes."""
        asked = plan.request.checkpoint
        if asked is None:
            return None
        plan.request.env[checkpoint.VARIABLE] = f"{plan.workdir}/{checkpoint.NAME}"
        try:
            if earlier:
                workfolder.put(plan.workdir_fd, checkpoint.NAME, earlier, plan.uid, plan.gid or 0)
            return checkpoint.CheckpointWatch(os.dup(plan.workdir_fd), asked, time.monotonic())
        except OSError as error:
            raise Unavailable(f"The checkpoint could not be put back: {error}.") from error

    def _plan(self, request: Request) -> confine.Plan:
        version = landlock.abi()
        if not version:
            raise Unavailable(_NO_LANDLOCK, _LANDLOCK_HINT)
        uid, gid = self._post.options.uid, self._post.options.gid
        filtered = self._post.filters[self._post.daemons.wanted_by(request)]
        try:
            if request.workdir is None:
                own = (os.geteuid(), os.getegid()) if uid is None else (uid, gid)
                workdir, workdir_fd = workfolder.make(self._post.options.spool, self._post.name, *own)
                for name, text in request.files.items():
                    workfolder.put(workdir_fd, name, text.encode("utf-8", "surrogateescape"), uid, gid or 0)
            else:
                workdir, workdir_fd = self._post.places.open_workdir(request.workdir)
            rules = self._post.places.rules(request, workdir_fd, version)
        except OSError as error:
            raise Unavailable(f"The sandbox could not be prepared: {error}.") from error
        return confine.Plan(request, workdir, workdir_fd, rules, filtered, uid, gid)

    def _reply(self, kind: bytes, value: dict[str, object]) -> None:
        self._send(wire.frame(kind, json.dumps(value).encode()))

    def _send(self, frames: bytes) -> None:
        try:
            self._connection.settimeout(_SEND_SECONDS)
            self._connection.sendall(frames)
            self._connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # the client is gone, and with it the wish to know
