"""Starts one program of the stack: remembers it, gives up what it does not need, dies with its parent,
becomes it.

The process manager runs it as ``python -I -S launch.py NAME``: standard library only, and gone with the exec.
What to start stands in the environment (``MILLWRIGHT_PROGRAMS``), which only the process manager and root
can read: nothing secret is on a command line, and no file can be changed between check and use.
"""

import ctypes
import json
import os
import resource
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_KILL = 0, 1, 3, 5
CAP_SETGID, CAP_SETUID, CAP_NET_BIND_SERVICE, CAP_SYS_PTRACE = 6, 7, 10, 19
CAP_NET_ADMIN, CAP_PERFMON, CAP_BPF = 12, 38, 39
NOBODY = 65534
"""A user that has a name on every system; initdb asks for one."""

_PR_SET_PDEATHSIG, _PR_SET_KEEPCAPS, _PR_CAPBSET_DROP = 1, 8, 24
_PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 38, 47, 2
_CAPABILITIES = 64
_CAPABILITY_VERSION_3 = 0x20080522
_CLONE_NEWUSER = 0x10000000
_OPEN_FILES = 65536

_libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    program = json.loads(os.environ["MILLWRIGHT_PROGRAMS"])[sys.argv[1]]
    parent = os.getppid()
    remember(Path(program["pids"]), sys.argv[1], os.getpid())
    _raise_open_files()
    give_up(program["uid"], keep=program["keep"], namespace=program["namespace"])
    os.umask(0o077)
    os.chdir(program["directory"])
    # A change of user clears the death signal, so it is set last.
    die_with(parent, getattr(signal, f"SIG{program['death_signal']}"))
    os.execve(program["command"][0], program["command"], program["environment"])  # noqa: S606


def give_up(uid: int | None, *, keep: Sequence[int] = (), namespace: bool = False) -> None:
    """Leave root's powers behind: change to ``uid`` (None: stay), keep only the capabilities ``keep``,
    never gain more.

    With ``namespace`` the process sees itself as NOBODY, in a user namespace of its own. Started by an
    ordinary user it only forbids new privileges (and makes the namespace). Raises OSError.
    """
    root = os.geteuid() == 0
    if namespace:
        _enter_namespace(os.geteuid() if uid is None else uid)
        keep = ()
    elif root:
        for capability in range(_CAPABILITIES):
            if capability not in keep:
                _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
        if uid is not None:
            if keep:
                _prctl(_PR_SET_KEEPCAPS, 1)
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        _set_capabilities(keep)
        for capability in keep if uid else ():
            _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def die_with(parent: int, number: signal.Signals) -> None:
    """Get that signal when ``parent`` dies, whose child this is. Ends this process when it has died before."""
    _prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        sys.exit(1)


def remember(folder: Path, name: str, pid: int) -> None:
    """Write ``pid start-time``: together they name a process; a pid alone may have been given again."""
    own = folder / f".{name}.{pid}"
    own.write_text(f"{pid} {start_time(pid)}\n")
    own.replace(folder / name)


def start_time(pid: int) -> str:
    """Field 22 of /proc/PID/stat, in clock ticks since boot; empty when there is no such process."""
    fields = _stat(pid)
    return "" if fields[:1] in ([], ["Z"]) else fields[19]


def parent_of(pid: int) -> int:
    """0 when there is no such process."""
    fields = _stat(pid)
    return int(fields[1]) if fields else 0


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the name, from the state on; none when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _raise_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _enter_namespace(outside: int) -> None:
    """A user namespace in which ``outside`` is NOBODY. Its map is written from outside: for root that works
    even where ordinary users may not make namespaces, and lets ``outside`` be another user than ourselves.
    """
    root = os.geteuid() == 0
    inner, outer = os.pipe()
    helper = os.fork()
    if helper == 0:
        os.close(outer)
        os.read(inner, 1)
        os._exit(_write_maps(os.getppid(), outside, os.getegid() if not root else outside, root))
    os.close(inner)
    made = _libc.unshare(_CLONE_NEWUSER) == 0
    problem = ctypes.get_errno()
    os.write(outer, b"x")
    os.close(outer)
    code = os.waitstatus_to_exitcode(os.waitpid(helper, 0)[1])
    if not made or code:
        number = problem if not made else code
        raise OSError(number, f"no user namespace: {os.strerror(number)}")
    if root:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)


def _write_maps(pid: int, uid: int, gid: int, root: bool) -> int:
    try:
        if not root:
            Path(f"/proc/{pid}/setgroups").write_text("deny")
        Path(f"/proc/{pid}/gid_map").write_text(f"{NOBODY} {gid} 1")
        Path(f"/proc/{pid}/uid_map").write_text(f"{NOBODY} {uid} 1")
    except OSError as error:
        return error.errno or 1
    return 0


def _set_capabilities(keep: Sequence[int]) -> None:
    """Exactly ``keep`` as permitted, effective and inheritable."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    mask = sum(1 << capability for capability in keep)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    data = (ctypes.c_uint32 * 6)(low, low, low, high, high, high)
    if _libc.capset(header, data):
        raise OSError(ctypes.get_errno(), "capabilities cannot be given up")


def _prctl(option: int, first: int, second: int = 0) -> None:
    wide = [ctypes.c_ulong(value) for value in (first, second, 0, 0)]
    if _libc.prctl(option, *wide):
        raise OSError(ctypes.get_errno(), f"prctl {option} failed")


if __name__ == "__main__":
    main()
