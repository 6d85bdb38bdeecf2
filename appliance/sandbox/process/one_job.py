"""One job, from its request to its outcome, inside the process of a supervisor."""

import json
import os
import select
import socket
import sys
import time

from appliance.sandbox.process import checkpoint, landlock, peer, seccomp, tree, wire, workfolder
from appliance.sandbox.process.pins import check_pins
from appliance.sandbox.process.post import Post, Unavailable
from appliance.sandbox.process.prepared import Prepared
from appliance.sandbox.process.request import (
    REQUEST_SECONDS,
    Refused,
    Request,
    parse_group,
    parse_request,
    read_exactly,
    read_frame,
)
from appliance.sandbox.process.watch import Watch

_SEND_SECONDS = 10.0
PATIENCE = 5.0
"""Seconds for the processes of a job to end when they are killed."""


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
        ready: Prepared | None = None
        while True:
            if not self._is_asked():
                if ready:
                    ready.discard(post)
                return True  # a connection that was made ahead, and that nobody needed
            kind, payload = read_frame(connection)
            if kind != wire.PREPARE or ready:
                break
            ready = Prepared(post, parse_group(payload), waits=True)
        if kind == wire.PROBE:
            self._reply(wire.FACTS, self._facts())
            return ready is None
        if kind != wire.REQUEST:
            raise Refused("One job is prepared on a connection.")
        request = parse_request(payload)
        size = request.checkpoint.initial if request.checkpoint else 0
        return self._run(request, read_exactly(connection, size), ready)

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

    def _run(self, request: Request, earlier: bytes, ready: Prepared | None) -> bool:
        connection, post = self._connection, self._post
        sockets = post.daemons.wanted_by(request)
        if ready and not ready.suits(request, sockets=sockets):
            ready.discard(post)
            ready = None
        ready = ready or Prepared(post, request.cgroup, request.workdir, sockets=sockets, waits=False)
        kept = self._furnish(ready, request, earlier)
        check_pins(request.pins)
        if post.told_to_stop():
            raise Unavailable("The spawner is stopping.", "Try again when it is back.")
        # Told before its process is: a client that never sees this knows that nothing ran.
        connection.sendall(wire.frame(wire.STARTED))
        started_at = time.time()
        ready.begin(request)
        watch = Watch(request, connection, post.wakeup, ready.pid, ready.out, ready.err, kept)
        watch.until_over()
        ended = tree.end(os.getpid(), watch.reap, patience=PATIENCE)
        watch.drain()
        if trouble := os.read(ready.status, 4096).decode("utf-8", "replace") if ended else "":
            raise Unavailable(f"The command could not be confined, so it was not run: {trouble}.")
        if not ended:
            print(f"spawner: job {post.name} has processes that do not end", file=sys.stderr, flush=True)
        self._send(watch.outcome(started_at, ended=ended))
        return ended

    def _furnish(
        self, ready: Prepared, request: Request, earlier: bytes
    ) -> checkpoint.CheckpointWatch | None:
        """Let it see what the job declares, put its files into its folder, and watch its checkpoint."""
        ground = ready.ground
        uid, gid = ground.uid, ground.gid or 0
        try:
            self._post.places.declare(ground.rules, request, ground.workdir_fd)
            for name, text in request.files.items():
                workfolder.put(ground.workdir_fd, name, text.encode("utf-8", "surrogateescape"), uid, gid)
        except OSError as error:
            raise Unavailable(f"The sandbox could not be prepared: {error}.") from error
        asked = request.checkpoint
        if asked is None:
            return None
        request.env[checkpoint.VARIABLE] = f"{ground.workdir}/{checkpoint.NAME}"
        try:
            if earlier:
                workfolder.put(ground.workdir_fd, checkpoint.NAME, earlier, uid, gid)
            return checkpoint.CheckpointWatch(os.dup(ground.workdir_fd), asked, time.monotonic())
        except OSError as error:
            raise Unavailable(f"The checkpoint could not be put back: {error}.") from error

    def _reply(self, kind: bytes, value: dict[str, object]) -> None:
        self._send(wire.frame(kind, json.dumps(value).encode()))

    def _send(self, frames: bytes) -> None:
        try:
            self._connection.settimeout(_SEND_SECONDS)
            self._connection.sendall(frames)
            self._connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # the client is gone, and with it the wish to know
