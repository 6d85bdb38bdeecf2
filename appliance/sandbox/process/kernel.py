"""The kernel calls that Python has no name for."""

import ctypes
import errno
import os
import signal
import struct

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_holding = ctypes.PyDLL(None, use_errno=True)  # keeps the interpreter's lock during a call
_holding.syscall.restype = ctypes.c_long

_PR_SET_PDEATHSIG = 1
_PR_SET_SECCOMP = 22
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_SECCOMP_MODE_FILTER = 2
_CLONE3, _CLONE_INTO_CGROUP = 435, 0x200000000
_CLONE_NEWNS, _CLONE_NEWUSER = 0x20000, 0x10000000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REC, _MS_SLAVE = 1, 2, 4, 8, 0x4000, 0x80000
_MS_REMOUNT = 0x20
# Calls with one number on every architecture; linux/mount.h and linux/fcntl.h.
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_OPEN_TREE_CLONE, _MOVE_MOUNT_FROM_EMPTY_PATH = 1, 4
_MOUNT_ATTR_READ_ONLY, _MOUNT_ATTR_NOTHING_RUNS = 1, 2 | 4 | 8
_AT_FDCWD, _AT_EMPTY_PATH, _AT_RECURSIVE = -100, 0x1000, 0x8000


def syscall(number: int, *arguments: "int | ctypes.c_void_p | ctypes.Array[ctypes.c_char] | None") -> int:
    """A raw system call. Raises OSError."""
    wide = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result: int = _libc.syscall(ctypes.c_long(number), *wide)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def fork_into(cgroup: int) -> int:
    """As os.fork, but the child begins in the control group (version 2) whose folder is open as ``cgroup``.

    For a process with one thread whose child soon becomes another program: Python's own book-keeping of a fork is
    left out. Moving a process that runs already takes some ten milliseconds on an idle machine, since the kernel
    waits for all processors; that is how it is done where the kernel has no other way. Raises OSError.
    """
    # flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup
    arguments = struct.pack("=11Q", _CLONE_INTO_CGROUP, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, cgroup)
    pid: int = _holding.syscall(
        ctypes.c_long(_CLONE3),
        ctypes.create_string_buffer(arguments, len(arguments)),
        ctypes.c_size_t(len(arguments)),
    )
    if pid >= 0:
        return pid
    if (code := ctypes.get_errno()) not in (errno.ENOSYS, errno.EINVAL, errno.E2BIG, errno.EPERM):
        raise OSError(code, os.strerror(code))
    pid = os.fork()
    if pid == 0:
        try:
            os.write(os.open("cgroup.procs", os.O_WRONLY | os.O_CLOEXEC, dir_fd=cgroup), b"0")
        except BaseException:  # the process edge: outside of its group it must not run
            os._exit(125)
    return pid


def enter_own_namespaces() -> None:
    """A user and a mount namespace for this process, which must have one thread; mounts made outside still appear
    in it. Raises OSError."""
    _check(_libc.unshare(ctypes.c_int(_CLONE_NEWUSER | _CLONE_NEWNS)))
    _check(_libc.mount(None, b"/", None, ctypes.c_ulong(_MS_REC | _MS_SLAVE), None))


def cover(folder: str, inside: str = "") -> None:
    """Put an empty file system, which nobody writes to, over ``folder``; ``inside``, a folder in it, is where something
    can be placed. Raises OSError."""
    flags = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
    first = ctypes.c_ulong(flags if inside else flags | _MS_RDONLY)
    mode = b"111" if inside else b"0"
    _check(_libc.mount(b"none", os.fsencode(folder), b"tmpfs", first, b"size=16k,mode=" + mode))
    if inside:
        os.makedirs(f"{folder}/{inside}", 0o111)  # noqa: PTH103 - pathlib is not loaded in the spawner
        again = ctypes.c_ulong(flags | _MS_RDONLY | _MS_REMOUNT)
        _check(_libc.mount(b"none", os.fsencode(folder), b"tmpfs", again, b"size=16k,mode=" + mode))


def only_to_read(folder: str) -> int:
    """A view of ``folder`` and all that is in it, through which nobody writes, changes or executes anything: a
    descriptor for ``place``. Raises OSError."""
    flags = _OPEN_TREE_CLONE | _AT_RECURSIVE | os.O_CLOEXEC
    view = syscall(_OPEN_TREE, _AT_FDCWD, ctypes.create_string_buffer(os.fsencode(folder)), flags)
    # attr_set, attr_clr, propagation, userns_fd
    wanted = struct.pack("=4Q", _MOUNT_ATTR_READ_ONLY | _MOUNT_ATTR_NOTHING_RUNS, 0, 0, 0)
    attributes = ctypes.create_string_buffer(wanted, len(wanted))
    empty = ctypes.create_string_buffer(b"")
    syscall(_MOUNT_SETATTR, view, empty, _AT_EMPTY_PATH | _AT_RECURSIVE, attributes, len(wanted))
    return view


def place(view: int, folder: str) -> None:
    """Let what ``only_to_read`` gave be seen at ``folder``. Raises OSError."""
    empty, path = ctypes.create_string_buffer(b""), ctypes.create_string_buffer(os.fsencode(folder))
    syscall(_MOVE_MOUNT, view, empty, _AT_FDCWD, path, _MOVE_MOUNT_FROM_EMPTY_PATH)


def _check(result: int) -> None:
    if result:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _prctl(option: int, first: int = 0, second: "int | ctypes.c_void_p" = 0) -> None:
    wide = ctypes.c_ulong(second) if isinstance(second, int) else second
    _check(
        _libc.prctl(ctypes.c_int(option), ctypes.c_ulong(first), wide, ctypes.c_ulong(0), ctypes.c_ulong(0))
    )


def die_with_parent(signal: int, parent: int) -> bool:
    """Ask for ``signal`` when the parent dies. False when ``parent`` is gone already: it never comes then.

    Must follow a change of user, which clears it.
    """
    _prctl(_PR_SET_PDEATHSIG, signal)
    return os.getppid() == parent


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends, also of those that called setsid."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def forbid_new_privileges() -> None:
    """From here on no exec gives more rights: setuid files and file capabilities do nothing."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def drop_ambient_capabilities() -> None:
    """Give up the capabilities that would survive an exec as an ordinary user."""
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def filter_system_calls(instructions: bytes) -> None:
    """Install a classic BPF program (8 bytes an instruction) as seccomp filter. Needs no_new_privs."""
    code = ctypes.create_string_buffer(instructions, len(instructions))
    program = _Program(len(instructions) // 8, ctypes.addressof(code))
    _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.c_void_p(ctypes.addressof(program)))
