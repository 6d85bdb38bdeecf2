"""The spawner's main loop: it hands each connection to a small supervisor process; nothing of a job is in this one."""

# pathlib is not loaded in the spawner
# ruff: noqa: PTH106, PTH108, PTH120

import fcntl
import gc
import json
import os
import select
import signal
import socket
import sys
import time

from appliance.lib import stop_file
from appliance.sandbox.process import hiding, kernel, peer, seccomp, tree, wire, workfolder
from appliance.sandbox.process.crew import Crew
from appliance.sandbox.process.options import Options
from appliance.sandbox.process.places import Places
from appliance.sandbox.process.refused import Refused
from appliance.sandbox.process.supervisor import Supervisor

_HANDOVER_SECONDS = 8.0
_STOP_SECONDS = 8.0
_STRAY_SECONDS = 5.0
_STOP_LOOK = 0.1  # seconds between two looks for the all-stop, while jobs run
_STOP_GRACE = 0.3  # seconds that whoever asked for a job has, to end it himself and say so


class StartError(Exception):
    """The spawner cannot start; the text says why."""


class Server:
    """Listens, hands over, reaps."""

    __slots__ = (
        "_crew", "_filters", "_hidden", "_listener", "_locks", "_options", "_pid", "_places", "_poller", "_stop",
        "_stop_file", "_stopped_at", "_wakeup",
    )  # fmt: skip

    def __init__(self, options: Options) -> None:
        self._options, self._pid = options, os.getpid()
        self._stop = False
        kernel.adopt_orphans()  # of a supervisor that was killed
        self._wakeup, write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        _default_signals()
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        try:
            self._locks = self._take_over()
            self._listener = self._listen()
        except OSError as error:
            raise StartError(f"the spawner cannot start: {error}") from error
        self._places = Places([options.home, os.path.dirname(options.socket), options.spool], options.models)
        self._hidden = hiding.folders_of(options)
        if not hiding.is_possible(self._hidden, options.models):
            self._hidden = []
        self._filters = seccomp.filters(keep_metadata=bool(self._hidden) or not hiding.holds_secrets(options))
        self._poller = select.poll()
        self._crew = Crew(self._become_supervisor, options.max_jobs, self._poller)
        self._stop_file = stop_file.path_in(options.home)
        self._stopped_at: float | None = None

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT; then end every job first."""
        gc.collect()
        gc.freeze()  # keeps the pages shared with the supervisors
        poller, crew = self._poller, self._crew
        poller.register(self._wakeup, select.POLLIN)
        crew.tend()
        print(f"listening on {self._options.socket}", flush=True)
        while not self._stop:
            # Whoever comes while none is ready waits at the socket: as long as this process lives, and no longer.
            poller.register(self._listener, select.POLLIN if crew.has_idle or crew.is_full else 0)
            ready = {fd for fd, _ in poller.poll(self._rest())}
            crew.heard(ready)
            if self._wakeup in ready:
                os.read(self._wakeup, 4096)
                self._reap()
            if self._listener.fileno() in ready:
                self._take_client()
            crew.tend()
            if crew.busy:
                self._obey_all_stop()
        self._shut_down()

    def _rest(self) -> float | None:
        """How long until something is to be done, in milliseconds; None when all that can come is a client."""
        rest = self._crew.rest()
        if not self._crew.busy:
            return rest
        look = _STOP_LOOK * 1000
        return look if rest is None else min(rest, look)

    def _obey_all_stop(self) -> None:
        """End the jobs that still run a moment after the all-stop says so: also those whose worker stands still."""
        now = time.monotonic()
        if not stop_file.kills(self._stop_file):
            self._stopped_at = None
        elif self._stopped_at is None:
            self._stopped_at = now
        elif now - self._stopped_at >= _STOP_GRACE:
            for pid in self._crew.busy:
                os.kill(pid, signal.SIGTERM)

    def _note(self, number: int, frame: object) -> None:
        if number != signal.SIGCHLD:
            self._stop = True

    def _take_over(self) -> tuple[int, int]:
        """Hold the locks of this socket and this spool, and clear what a predecessor left.

        Every supervisor holds them too: who has them knows that no job of a killed spawner runs any more.
        """
        # The folder is the services' too: a link there would have root make or lock any other file.
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        lock = os.open(self._options.socket + ".lock", flags, 0o600)
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
            os.chown(path, self._options.peer_uid, -1, follow_symlinks=False)
        listener.listen(256)
        return listener

    def _become_supervisor(self, name: str, line: socket.socket) -> None:
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            # A Ctrl-C reaches the spawner, which ends its supervisors.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            self._listener.close()
            if self._hidden and not hiding.try_to_hide(self._hidden, self._options.models):
                self._filters = seccomp.filters(keep_metadata=False)
            Supervisor(self._options, self._places, self._filters, name, self._pid, line).serve()
            code = 0
        except BaseException:  # the process edge: the child must never go on as a second spawner
            sys.__excepthook__(*sys.exc_info())
        finally:
            os._exit(code)

    def _take_client(self) -> None:
        """Give the client that came first to a supervisor; where no more jobs may run, say so."""
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return  # it left
        with connection:
            try:
                # Here, not where the job is: a supervisor may know no user but its own.
                peer.check_user(connection, self._options.peer_uid)
            except Refused as refusal:
                _turn_away(connection, wire.REFUSED, refusal.message, refusal.hint)
                return
            if self._crew.has_idle:
                self._crew.give(connection)
            elif self._crew.is_full:
                text = f"{self._options.max_jobs} jobs run already, which is the most that may."
                _turn_away(connection, wire.UNAVAILABLE, text, "Try again when one of them has ended.")

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            name = self._crew.gone(pid)
            if name is not None and status != 0:
                self._clear_after(name)

    def _clear_after(self, name: str) -> None:
        """A supervisor died before its job did: what it watched is ours now."""
        print(
            f"spawner: the supervisor of job {name} was killed; its processes are ended",
            file=sys.stderr,
            flush=True,
        )
        spared = frozenset(member.pid for member in self._crew)

        def gone() -> bool:
            return not tree.descendants(self._pid, spared)  # the dead ones are collected by our caller

        if tree.end(self._pid, gone, spare=spared, patience=_STRAY_SECONDS):
            workfolder.remove(self._options.spool, name)

    def _shut_down(self) -> None:
        self._listener.close()
        for member in self._crew:
            os.kill(member.pid, signal.SIGTERM)
        give_up = time.monotonic() + _STOP_SECONDS
        while any(True for _ in self._crew) and time.monotonic() < give_up:
            select.select([self._wakeup], [], [], 0.1)
            self._reap()
        for path in (self._options.socket, self._options.socket + ".lock"):
            os.unlink(path)
        try:
            os.rmdir(self._options.spool)
        except OSError:
            pass  # a job that hangs in the kernel keeps its folder; the next start sweeps it


def _turn_away(connection: socket.socket, kind: bytes, message: str, hint: str | None) -> None:
    try:
        connection.send(wire.frame(kind, json.dumps({"message": message, "hint": hint}).encode()))
    except OSError:
        return  # the client is gone


def _default_signals() -> None:
    """Undo what the starter ignores, such as SIGHUP under nohup: it would be ignored in every job."""
    for number in range(1, signal.NSIG):
        try:
            if signal.getsignal(number) == signal.SIG_IGN and number not in (signal.SIGPIPE, signal.SIGXFSZ):
                signal.signal(number, signal.SIG_DFL)
        except (OSError, ValueError):
            continue
