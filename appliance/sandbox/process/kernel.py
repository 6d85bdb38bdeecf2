"""The kernel calls that Python has no name for."""

import ctypes
import os

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

_PR_SET_PDEATHSIG = 1
_PR_SET_SECCOMP = 22
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_SECCOMP_MODE_FILTER = 2


def syscall(number: int, *arguments: "int | ctypes.c_void_p | ctypes.Array[ctypes.c_char] | None") -> int:
    """A raw system call. Raises OSError."""
    wide = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result: int = _libc.syscall(ctypes.c_long(number), *wide)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def _prctl(option: int, first: int = 0, second: "int | ctypes.c_void_p" = 0) -> None:
    wide = ctypes.c_ulong(second) if isinstance(second, int) else second
    if _libc.prctl(ctypes.c_int(option), ctypes.c_ulong(first), wide, ctypes.c_ulong(0), ctypes.c_ulong(0)):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


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
