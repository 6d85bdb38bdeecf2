"""The process of a job, made before it is known what it will run: it waits for that, without any powers."""

import os
import select
import signal

from appliance.sandbox.process import confine, kernel, landlock, workfolder
from appliance.sandbox.process.post import Post, Unavailable
from appliance.sandbox.process.request import Request

_NO_LANDLOCK = "This machine has no Landlock, without which no command is run."
_LANDLOCK_HINT = (
    "Use Linux 5.13 or newer with CONFIG_SECURITY_LANDLOCK, and add landlock to the lsm= list of the kernel"
    " command line; in a container, use a seccomp profile that allows the landlock_* calls."
)


class Prepared:
    """A child of this process in the control group ``cgroup`` (a name; empty for none) and in ``workdir``, or, where
    that is None, in a private folder. It ends with this process, and when nobody tells it what to run.

    ``sockets``: it may use unix sockets; ``waits``: it is made before its job is known.
    ``out``, ``err`` and ``status`` are what we read from it. Raises Refused, Unavailable.
    """

    __slots__ = ("_cgroup", "_orders", "_own_folder", "_sockets", "err", "ground", "out", "pid", "status")

    def __init__(
        self, post: Post, cgroup: str, workdir: str | None = None, *, sockets: bool = False, waits: bool
    ) -> None:
        self._cgroup, self._own_folder, self._sockets = cgroup, workdir is None, sockets
        self.ground = _ground(post, workdir, sockets=sockets, waits=waits)
        uid, gid = self.ground.uid, self.ground.gid
        self.out, out = os.pipe2(os.O_CLOEXEC)
        self.err, err = os.pipe2(os.O_CLOEXEC)
        self.status, status = os.pipe2(os.O_CLOEXEC)
        orders, self._orders = os.pipe2(os.O_CLOEXEC)
        if uid is not None:
            for fd in (out, err):
                os.fchown(fd, uid, gid)  # so that the job can open /dev/stdout and /dev/stderr
        group = _open_group(post, cgroup)
        parent = os.getpid()
        self.pid = os.fork() if group is None else kernel.fork_into(group)
        if self.pid == 0:
            os.close(self._orders)
            confine.become(self.ground, parent, out, err, status, orders)
            os._exit(125)
        for fd in (out, err, status, orders):
            os.close(fd)
        if group is not None:
            os.close(group)

    def suits(self, request: Request, *, sockets: bool) -> bool:
        """Whether it can become this job, and still waits."""
        poller = select.poll()
        poller.register(self.status, select.POLLIN)
        here = self._own_folder and request.workdir is None and request.cgroup == self._cgroup
        return here and sockets == self._sockets and not poller.poll(0)

    def begin(self, request: Request) -> None:
        """Have it run the job. What became of it, ``status`` says."""
        try:
            confine.order(self._orders, self.ground, request)
        except BrokenPipeError:
            pass  # it ended: seen as any other end
        for fd in (self._orders, self.ground.rules.fd, self.ground.workdir_fd):
            os.close(fd)

    def discard(self, post: Post) -> None:
        """Nobody wants it any more."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        ground = self.ground
        for fd in (self.out, self.err, self.status, self._orders, ground.rules.fd, ground.workdir_fd):
            os.close(fd)
        workfolder.remove(post.options.spool, post.name)


def _ground(post: Post, workdir: str | None, *, sockets: bool, waits: bool) -> confine.Ground:
    version = landlock.abi()
    if not version:
        raise Unavailable(_NO_LANDLOCK, _LANDLOCK_HINT)
    uid, gid = post.options.uid, post.options.gid
    try:
        if workdir is None:
            own = (os.geteuid(), os.getegid()) if uid is None else (uid, gid)
            path, fd = workfolder.make(post.options.spool, post.name, *own)
        else:
            path, fd = post.places.open_workdir(workdir)
        rules, allowed = post.places.rules(version), post.filters[sockets]
        return confine.Ground(path, fd, rules, allowed, uid, gid, waits=waits)
    except OSError as error:
        raise Unavailable(f"The sandbox could not be prepared: {error}.") from error


def _open_group(post: Post, name: str) -> int | None:
    """The control group that guard has made for the job, opened; None where the job names none."""
    if not name:
        return None
    try:
        return os.open(
            f"{post.options.cgroups}/{name}", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        )
    except OSError as error:
        raise Unavailable(f"The control group of the job is not there: {error}.") from error
