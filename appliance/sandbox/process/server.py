"""The spawner's main loop: one small supervisor process per connection, and nothing of a job in this one."""

# pathlib is not loaded in the spawner
# ruff: noqa: PTH106, PTH108, PTH120

import fcntl
import gc
import json
import os
import select
import signal
import socket
import struct
import sys
import time

from appliance.lib import stop_file
from appliance.sandbox.process import kernel, seccomp, tree, wire, workfolder
from appliance.sandbox.process.options import Options
from appliance.sandbox.process.places import Places
from appliance.sandbox.process.supervisor import Supervisor

_HANDOVER_SECONDS = 8.0
_STOP_SECONDS = 8.0
_STRAY_SECONDS = 5.0
_IDLE = 2
_FORK_PAUSE = 0.1
_REST = 0.01  # seconds before a supervisor that was taken is replaced, while another one waits: its job goes first
_STOP_LOOK = 0.1  # seconds between two looks for the all-stop, while jobs run
_STOP_GRACE = 0.3  # seconds that whoever asked for a job has, to end it himself and say so
_PID = struct.Struct("=i")


class StartError(Exception):
    """The spawner cannot start; the text says why."""


class Server:
    """Listens, forks, reaps."""

    __slots__ = (
        "_filters", "_idle", "_jobs", "_listener", "_locks", "_options", "_pid", "_places", "_refill_at", "_stop",
        "_stop_file", "_stopped_at", "_taken", "_wakeup",
    )  # fmt: skip

    def __init__(self, options: Options) -> None:
        self._options, self._pid = options, os.getpid()
        self._idle: dict[int, str] = {}
        self._jobs: dict[int, str] = {}
        self._stop = False
        kernel.adopt_orphans()  # of a supervisor that was killed
        self._wakeup, write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        _default_signals()
        self._taken = os.pipe2(os.O_CLOEXEC)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        try:
            self._locks = self._take_over()
            self._listener = self._listen()
        except OSError as error:
            raise StartError(f"the spawner cannot start: {error}") from error
        self._places = Places([options.home, os.path.dirname(options.socket), options.spool])
        self._filters = seccomp.filters()
        self._refill_at = 0.0
        self._stop_file = stop_file.path_in(options.home)
        self._stopped_at: float | None = None

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT; then end every job first."""
        gc.collect()
        gc.freeze()  # keeps the pages shared with the supervisors
        poller = select.poll()
        for fd in (self._wakeup, self._taken[0]):
            poller.register(fd, select.POLLIN)
        self._keep_ready()
        print(f"listening on {self._options.socket}", flush=True)
        while not self._stop:
            full = len(self._jobs) >= self._options.max_jobs
            # The supervisors accept; only when no more of them may be made, this process does, to say so.
            poller.register(self._listener, select.POLLIN if full else 0)
            ready = {fd for fd, _ in poller.poll(self._rest())}
            if self._wakeup in ready:
                os.read(self._wakeup, 4096)
                self._reap()
            if self._taken[0] in ready:
                for (pid,) in _PID.iter_unpack(os.read(self._taken[0], 1024 * _PID.size)):
                    if name := self._idle.pop(pid, None):
                        self._jobs[pid] = name
                self._refill_at = time.monotonic() + _REST
            if full and self._listener.fileno() in ready:
                self._turn_away()
            if not self._idle or time.monotonic() >= self._refill_at:
                self._keep_ready()
            if self._jobs:
                self._obey_all_stop()
        self._shut_down()

    def _rest(self) -> float | None:
        """How long until something is to be done, in milliseconds; None when all that can come is a client."""
        look = _STOP_LOOK * 1000 if self._jobs else None
        if len(self._idle) >= self._wanted_idle():
            return look
        refill = max(1.0, (self._refill_at - time.monotonic()) * 1000)
        return min(refill, look) if look else refill

    def _obey_all_stop(self) -> None:
        """End the jobs that still run a moment after the all-stop says so: also those whose worker stands still."""
        now = time.monotonic()
        if not stop_file.kills(self._stop_file):
            self._stopped_at = None
        elif self._stopped_at is None:
            self._stopped_at = now
        elif now - self._stopped_at >= _STOP_GRACE:
            for pid in self._jobs:
                os.kill(pid, signal.SIGTERM)

    def _wanted_idle(self) -> int:
        return min(_IDLE, self._options.max_jobs - len(self._jobs))

    def _note(self, number: int, frame: object) -> None:
        if number != signal.SIGCHLD:
            self._stop = True

    def _take_over(self) -> tuple[int, int]:
        """Hold the locks of this socket and this spool, and clear what a predecessor left.

        Every supervisor holds them too: who has them knows that no job of a killed spawner runs any more.
        """
        lock = os.open(self._options.socket + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        spool = workfolder.prepare_spool(self._options.spool)
        give_up = time.monotonic() + _HANDOVER_SECONDS
        for fd in (lock, spool):
            while True:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError as error:
                    if time.monotonic() > give_up:
                        raise StartError(f"another spawner serves {self._options.socket}") from error
                    time.sleep(0.05)
        if swept := workfolder.sweep(self._options.spool, spool):
            print(f"spawner: removed {swept} work folders left by a spawner that was killed", file=sys.stderr)
        return lock, spool

    def _listen(self) -> socket.socket:
        path = self._options.socket
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        listener = socket.socket(
            socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        )
        before = os.umask(0o177)
        try:
            listener.bind(path)
        finally:
            os.umask(before)
        if self._options.peer_uid is not None and os.geteuid() == 0:
            os.chown(path, self._options.peer_uid, -1)
        listener.listen(256)
        return listener

    def _keep_ready(self) -> None:
        """Have supervisors wait for clients, made before they are needed."""
        while len(self._idle) < self._wanted_idle():
            name = os.urandom(8).hex()
            # Until the child has its own handlers, a signal meant for it must wait.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD))
            try:
                pid = os.fork()
                if pid == 0:
                    self._become_supervisor(name)
                self._idle[pid] = name
            except OSError as error:
                print(f"spawner: cannot make a process: {error}", file=sys.stderr, flush=True)
                time.sleep(_FORK_PAUSE)
                return
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _become_supervisor(self, name: str) -> None:
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(
                signal.SIGINT, signal.SIG_IGN
            )  # a Ctrl-C reaches the spawner, which ends its supervisors
            supervisor = Supervisor(self._options, self._places, self._filters, name, self._pid)
            supervisor.supervise(self._listener, self._taken[1])
            code = 0
        except BaseException:  # the process edge: the child must never go on as a second spawner
            sys.__excepthook__(*sys.exc_info())
        finally:
            os._exit(code)

    def _turn_away(self) -> None:
        text = f"{len(self._jobs)} jobs run already, which is the most that may."
        answer = json.dumps({"message": text, "hint": "Try again when one of them has ended."}).encode()
        try:
            connection, _ = self._listener.accept()
            with connection:
                connection.send(wire.frame(wire.UNAVAILABLE, answer))
        except OSError:
            return  # the client left, or a supervisor took it just before

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            name = self._jobs.pop(pid, None) or self._idle.pop(pid, None)
            if name is not None and status != 0:
                self._clear_after(name)

    def _clear_after(self, name: str) -> None:
        """A supervisor died before its job did: what it watched is ours now."""
        print(
            f"spawner: the supervisor of job {name} was killed; its processes are ended",
            file=sys.stderr,
            flush=True,
        )
        spared = frozenset((*self._jobs, *self._idle))

        def gone() -> bool:
            return not tree.descendants(self._pid, spared)  # the dead ones are collected by our caller

        if tree.end(self._pid, gone, spare=spared, patience=_STRAY_SECONDS):
            workfolder.remove(self._options.spool, name)

    def _shut_down(self) -> None:
        self._listener.close()
        for pid in (*self._idle, *self._jobs):
            os.kill(pid, signal.SIGTERM)
        give_up = time.monotonic() + _STOP_SECONDS
        while (self._idle or self._jobs) and time.monotonic() < give_up:
            select.select([self._wakeup], [], [], 0.1)
            self._reap()
        for path in (self._options.socket, self._options.socket + ".lock"):
            os.unlink(path)
        try:
            os.rmdir(self._options.spool)
        except OSError:
            pass  # a job that hangs in the kernel keeps its folder; the next start sweeps it


def _default_signals() -> None:
    """Undo what the starter ignores, such as SIGHUP under nohup: it would be ignored in every job."""
    for number in range(1, signal.NSIG):
        try:
            if signal.getsignal(number) == signal.SIG_IGN and number not in (signal.SIGPIPE, signal.SIGXFSZ):
                signal.signal(number, signal.SIG_DFL)
        except (OSError, ValueError):
            continue
