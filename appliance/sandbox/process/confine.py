"""The last steps of a job's process before it becomes the command: give up all that it does not need."""

# pathlib is not loaded in the spawner
# ruff: noqa: PTH123

import errno
import os
import resource
import signal

from appliance.sandbox.process import kernel
from appliance.sandbox.process.landlock import Ruleset
from appliance.sandbox.process.request import Request

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_OUT_OF_MEMORY_SCORE = b"700"  # of 1000: when memory ends, a job goes before the appliance


class Plan:
    """All that the child needs, prepared and checked before the fork."""

    __slots__ = ("filter", "gid", "request", "rules", "uid", "workdir", "workdir_fd")

    def __init__(
        self, request: Request, workdir: str, workdir_fd: int, rules: Ruleset, system_calls: bytes | None,
        uid: int | None, gid: int,
    ) -> None:  # fmt: skip
        self.request, self.workdir, self.workdir_fd = request, workdir, workdir_fd
        self.rules, self.filter, self.uid, self.gid = rules, system_calls, uid, gid


def become(plan: Plan, parent: int, stdout: int, stderr: int, status: int) -> None:
    """Turn this freshly forked process into the job. Never returns.

    ``status`` closes by itself when the command runs; what is written there before says why it does not run.
    """
    try:
        _reset_signals()
        os.setsid()
        os.fchdir(plan.workdir_fd)
        _connect(stdout, stderr)
        _offer_to_oom_killer()
        _limit(plan.request)
        _change_user(plan)
        if not kernel.die_with_parent(signal.SIGKILL, parent):
            os._exit(125)
        kernel.forbid_new_privileges()
        kernel.drop_ambient_capabilities()
        plan.rules.restrict_self()
        if plan.filter:
            kernel.filter_system_calls(plan.filter)
    except BaseException as error:  # the process edge: whatever it is, the command must not run
        os.write(status, f"{type(error).__name__}: {error}".encode("utf-8", "replace")[:2000])
        os._exit(125)
    _execute(plan.request.argv, _environment(plan), plan.request.executable)


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
    with open("/proc/loadavg", "rb") as file:
        return int(file.read().split()[3].split(b"/")[1])


def _limit(request: Request) -> None:
    # The kernel counts processes per user, not per job: so the limit lies above all that run now.
    processes = _tasks_on_this_machine() + request.processes
    for which, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, processes),
        (resource.RLIMIT_NOFILE, request.open_files),
        (resource.RLIMIT_FSIZE, request.file_bytes),
        # Not the address space: Go, Java and JavaScript reserve far more of that than they use.
        (resource.RLIMIT_DATA, request.memory),
        (resource.RLIMIT_MEMLOCK, 64 * 1024),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_CPU, request.cpu_seconds),
    ):
        if most is not None:
            _, hard = resource.getrlimit(which)
            if hard != resource.RLIM_INFINITY:
                most = min(most, hard)
            resource.setrlimit(which, (most, most))


def _change_user(plan: Plan) -> None:
    if plan.uid is not None:
        os.setgroups([])
        os.setresgid(plan.gid, plan.gid, plan.gid)
        os.setresuid(plan.uid, plan.uid, plan.uid)
    if 0 in os.getresuid():
        raise PermissionError("a job must not run as root")


def _environment(plan: Plan) -> dict[str, str]:
    given = {"PATH": _PATH, "HOME": plan.workdir, "TMPDIR": plan.workdir, "LANG": "C.UTF-8"}
    if zone := os.environ.get("TZ"):
        given["TZ"] = zone
    return given | plan.request.env


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
