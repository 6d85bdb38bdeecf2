"""The last steps of a job's process before it becomes the command: give up all that it does not need."""

# pathlib is not loaded in the spawner

import errno
import marshal
import os
import resource
import signal
import struct

from appliance.sandbox.process import kernel
from appliance.sandbox.process.landlock import Ruleset
from appliance.sandbox.process.request import Request

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_OUT_OF_MEMORY_SCORE = b"700"  # of 1000: when memory ends, a job goes before the appliance
_LENGTH = struct.Struct("=I")


class Ground:
    """What the child needs before it is told what to run. To ``rules`` can be added until that. ``waits``: it is made
    before anybody knows what that will be."""

    __slots__ = ("filter", "gid", "rules", "uid", "waits", "workdir", "workdir_fd")

    def __init__(
        self, workdir: str, workdir_fd: int, rules: Ruleset, system_calls: bytes | None,
        uid: int | None, gid: int, *, waits: bool,
    ) -> None:  # fmt: skip
        self.workdir, self.workdir_fd, self.rules = workdir, workdir_fd, rules
        self.filter, self.uid, self.gid, self.waits = system_calls, uid, gid, waits


def become(ground: Ground, parent: int, stdout: int, stderr: int, status: int, orders: int) -> None:
    """Turn this freshly forked process into the job that ``orders`` will tell. Never returns.

    ``status`` closes by itself when the command runs; what is written there before says why it does not run.
    """
    try:
        _reset_signals()
        os.setsid()
        os.fchdir(ground.workdir_fd)
        _connect(stdout, stderr)
        _offer_to_oom_killer()
        _change_user(ground)
        if not kernel.die_with_parent(signal.SIGKILL, parent):
            os._exit(125)
        kernel.forbid_new_privileges()
        kernel.drop_ambient_capabilities()
        if ground.filter:
            kernel.filter_system_calls(ground.filter)
        if ground.waits:
            _rehearse()
        argv, env, executable, limits = marshal.loads(_heard(orders))  # noqa: S302 - our parent's
        _limit(*limits)
        ground.rules.restrict_self()
    except BaseException as error:  # the process edge: whatever it is, the command must not run
        os.write(status, f"{type(error).__name__}: {error}".encode("utf-8", "replace")[:2000])
        os._exit(125)
    _execute(argv, env, executable)


def order(orders: int, ground: Ground, request: Request) -> None:
    """Tell the child that waits in ``become`` to begin. Raises OSError."""
    limits = (
        request.processes, request.open_files, request.file_bytes, request.memory, request.cpu_seconds,
    )  # fmt: skip
    env = _environment(ground.workdir, request.env)
    told = marshal.dumps((request.argv, env, request.executable, limits))
    rest = memoryview(_LENGTH.pack(len(told)) + told)
    while rest:
        rest = rest[os.write(orders, rest) :]


def _rehearse() -> None:
    """Do without effect what follows the order: memory shared since the fork is copied while nobody waits for it."""
    marshal.loads(marshal.dumps(([""], {"": ""}, "", (1, 1, 1, 1, None))))  # noqa: S302
    _tasks_on_this_machine()
    for which in (resource.RLIMIT_CORE, resource.RLIMIT_NPROC, resource.RLIMIT_DATA):
        resource.setrlimit(which, resource.getrlimit(which))
    try:
        os.execve("/", ["/"], {})  # noqa: S606 - a folder: this never becomes anything
    except OSError:
        pass


def _heard(orders: int) -> bytes:
    """What we are told. Not to the end: a parent that is killed in the middle of it has told us nothing."""
    (length,) = _LENGTH.unpack(_exactly(orders, _LENGTH.size))
    return _exactly(orders, length)


def _exactly(fd: int, length: int) -> bytes:
    data = b""
    while len(data) < length:
        piece = os.read(fd, length - len(data))
        if not piece:
            raise EOFError("nobody said what to run")
        data = data + piece if data else piece
    return data


def _reset_signals() -> None:
    # Handlers end with exec by themselves; what is ignored stays so. The spawner put all others to their
    # default when it started; a call for each of the 64 would take longer here than all else together.
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


def _connect(stdout: int, stderr: int) -> None:
    null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    os.dup2(null, 0)
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)


def _offer_to_oom_killer() -> None:
    try:
        fd = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return  # no /proc to write: nothing that confinement depends on
    try:
        os.write(fd, _OUT_OF_MEMORY_SCORE)
    except OSError:
        pass
    finally:
        os.close(fd)


def _tasks_on_this_machine() -> int:
    fd = os.open("/proc/loadavg", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return int(os.read(fd, 256).split()[3].split(b"/")[1])
    finally:
        os.close(fd)


def _limit(processes: int, open_files: int, file_bytes: int, memory: int, cpu_seconds: int | None) -> None:
    # The kernel counts processes per user, not per job: so the limit lies above all that run now.
    processes += _tasks_on_this_machine()
    for which, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, processes),
        (resource.RLIMIT_NOFILE, open_files),
        (resource.RLIMIT_FSIZE, file_bytes),
        # Not the address space: Go, Java and JavaScript reserve far more of that than they use.
        (resource.RLIMIT_DATA, memory),
        (resource.RLIMIT_MEMLOCK, 64 * 1024),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_CPU, cpu_seconds),
    ):
        if most is not None:
            _, hard = resource.getrlimit(which)
            if hard != resource.RLIM_INFINITY:
                most = min(most, hard)
            resource.setrlimit(which, (most, most))


def _change_user(ground: Ground) -> None:
    if ground.uid is not None:
        os.setgroups([])
        os.setresgid(ground.gid, ground.gid, ground.gid)
        os.setresuid(ground.uid, ground.uid, ground.uid)
    if 0 in os.getresuid():
        raise PermissionError("a job must not run as root")


def _environment(workdir: str, wanted: dict[str, str]) -> dict[str, str]:
    given = {"PATH": _PATH, "HOME": workdir, "TMPDIR": workdir, "LANG": "C.UTF-8"}
    if zone := os.environ.get("TZ"):
        given["TZ"] = zone
    return given | wanted


def _execute(argv: list[str], env: dict[str, str], executable: str) -> None:
    """Replace this process by the command, or end as a shell does when it cannot."""
    name = executable or argv[0]
    paths = [name] if "/" in name else [f"{d or '.'}/{name}" for d in env.get("PATH", _PATH).split(":")]
    code = errno.ENOENT
    for path in paths:
        try:
            os.execve(path, argv, env)  # noqa: S606 - the point of it all
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                code = error.errno or errno.EACCES
        except BaseException:  # the process edge: returning from here would run the spawner twice
            code = errno.EINVAL
    reason = "not found" if code == errno.ENOENT else os.strerror(code)
    os.write(2, f"{name}: {reason}\n".encode("utf-8", "surrogateescape"))
    os._exit(127 if code == errno.ENOENT else 126)
