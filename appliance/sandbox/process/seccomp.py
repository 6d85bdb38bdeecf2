"""The system calls that a job has no use for: the kernel's own, other processes, things that outlive it.

A list of refusals, not of permissions: the commands of a shop floor are too many for the latter, and what
they can damage is bounded by Landlock and the user id. Sockets are the exception: only listed families.
"""

import errno
import os
import struct

from appliance.sandbox.process import landlock

_LOAD, _JUMP_ALWAYS, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_ANY_BIT, _RETURN = 0x20, 0x05, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NUMBER_AT, _ARCHITECTURE_AT, _FIRST_ARGUMENT_AT = 0, 4, 16  # little-endian: the low half of the argument
_SECOND_ARGUMENT_AT = 24
_X32_BIT = 0x40000000

_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK = 1, 2, 10, 16
# CLONE_NEWTIME NEWNS NEWCGROUP NEWUTS NEWIPC NEWUSER NEWPID NEWNET
_CLONE_NAMESPACES = 0x80 | 0x20000 | 0x2000000 | 0x4000000 | 0x8000000 | 0x10000000 | 0x20000000 | 0x40000000

# Refused on both architectures: new calls have the same number everywhere.
_REFUSED_EVERYWHERE = {
    "pidfd_getfd": 438, "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427,
    "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433,
    "mount_setattr": 442,
}  # fmt: skip
_REFUSED_X86_64 = {
    "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312, "add_key": 248,
    "request_key": 249, "keyctl": 250, "bpf": 321, "perf_event_open": 298, "userfaultfd": 323, "mount": 165,
    "umount2": 166, "pivot_root": 155, "chroot": 161, "unshare": 272, "setns": 308,
    "open_by_handle_at": 304, "kexec_load": 246, "kexec_file_load": 320, "init_module": 175,
    "finit_module": 313, "delete_module": 176, "reboot": 169, "swapon": 167, "swapoff": 168, "acct": 163,
    "quotactl": 179, "settimeofday": 164, "clock_settime": 227, "iopl": 172, "ioperm": 173,
    "sethostname": 170, "setdomainname": 171, "vhangup": 153, "lookup_dcookie": 212, "shmget": 29,
    "semget": 64, "msgget": 68, "mq_open": 240,
}  # fmt: skip
_REFUSED_AARCH64 = {
    "ptrace": 117, "process_vm_readv": 270, "process_vm_writev": 271, "kcmp": 272, "add_key": 217,
    "request_key": 218, "keyctl": 219, "bpf": 280, "perf_event_open": 241, "userfaultfd": 282, "mount": 40,
    "umount2": 39, "pivot_root": 41, "chroot": 51, "unshare": 97, "setns": 268, "open_by_handle_at": 265,
    "kexec_load": 104, "kexec_file_load": 294, "init_module": 105, "finit_module": 273,
    "delete_module": 106, "reboot": 142, "swapon": 224, "swapoff": 225, "acct": 89, "quotactl": 60,
    "settimeofday": 170, "clock_settime": 112, "sethostname": 161, "setdomainname": 162, "vhangup": 58,
    "lookup_dcookie": 18, "shmget": 194, "semget": 190, "msgget": 186, "mq_open": 180,
}  # fmt: skip
# What changes modes, owners, times and attributes by a path. Their siblings that take an open file stay: it was
# opened under Landlock's eyes.
_METADATA_EVERYWHERE = {"fchmodat2": 452, "setxattrat": 463, "removexattrat": 466, "file_setattr": 469}
_METADATA_X86_64 = {
    "chmod": 90, "fchmodat": 268, "chown": 92, "lchown": 94, "fchownat": 260, "utime": 132, "utimes": 235,
    "futimesat": 261, "setxattr": 188, "lsetxattr": 189, "removexattr": 197, "lremovexattr": 198,
}  # fmt: skip
_METADATA_AARCH64 = {
    "fchmodat": 53, "fchownat": 54, "setxattr": 5, "lsetxattr": 6, "removexattr": 14, "lremovexattr": 15,
}  # fmt: skip


class Architecture:
    """The numbers of one machine type."""

    __slots__ = ("audit", "clone", "metadata", "refused", "socket", "truncate", "utimensat", "x32")

    def __init__(
        self, audit: int, refused: dict[str, int], metadata: dict[str, int], *, socket: int, clone: int, truncate: int,
        utimensat: int, x32: bool,
    ) -> None:  # fmt: skip
        self.audit, self.refused, self.metadata = audit, refused, metadata
        self.socket, self.clone, self.truncate, self.x32 = socket, clone, truncate, x32
        self.utimensat = utimensat


_ARCHITECTURES = {
    "x86_64": Architecture(
        0xC000003E,
        _REFUSED_X86_64,
        _METADATA_X86_64,
        socket=41,
        clone=56,
        truncate=76,
        utimensat=280,
        x32=True,
    ),
    "aarch64": Architecture(
        0xC00000B7,
        _REFUSED_AARCH64,
        _METADATA_AARCH64,
        socket=198,
        clone=220,
        truncate=45,
        utimensat=88,
        x32=False,
    ),
}
_CLONE3 = 435


def architecture() -> Architecture | None:
    """The numbers of this machine, or None when they are not known here: there is no filter then."""
    return _ARCHITECTURES.get(os.uname().machine)


def _op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _answer(code: int) -> bytes:
    return _op(_RETURN, _ERRNO | code)


def _refuse(numbers: list[int]) -> list[bytes]:
    """Refuse these numbers and go on with others. A search tree: the kernel walks the filter for each of its
    hundreds of calls when it is installed, and that is part of each job's start."""
    if len(numbers) <= 4:
        tests = [_op(_JUMP_EQUAL, number, len(numbers) - at, 0) for at, number in enumerate(numbers)]
        return [*tests, _op(_JUMP_ALWAYS, 1), _answer(errno.EPERM)]
    middle = len(numbers) // 2
    low, high = _refuse(numbers[:middle]), _refuse(numbers[middle:])
    low.append(_op(_JUMP_ALWAYS, len(high)))
    return [_op(_JUMP_AT_LEAST, numbers[middle], len(low), 0), *low, *high]


def _refuse_times_by_path(number: int) -> list[bytes]:
    """utimensat with a path; without one it sets the times of an open file."""
    return [
        _op(_JUMP_EQUAL, number, 0, 6),
        _op(_LOAD, _SECOND_ARGUMENT_AT),
        _op(_JUMP_EQUAL, 0, 0, 2),
        _op(_LOAD, _SECOND_ARGUMENT_AT + 4),
        _op(_JUMP_EQUAL, 0, 1, 0),
        _answer(errno.EPERM),
        _op(_RETURN, _ALLOW),
    ]


def build(
    numbers: Architecture, *, unix_sockets: bool, keep_truncate: bool, keep_metadata: bool = True
) -> bytes:
    """The filter as BPF. ``keep_truncate`` is for kernels whose Landlock guards truncate(2) itself; without
    ``keep_metadata`` no mode, owner, time or attribute is changed by a path.

    Unix sockets reach daemons that act for the caller outside of any confinement (a container engine, a
    service manager), and Landlock does not see their path: a job gets them only when it declares one.
    """
    families = (_AF_INET, _AF_INET6, _AF_NETLINK, *((_AF_UNIX,) if unix_sockets else ()))
    refused = {*numbers.refused.values(), *_REFUSED_EVERYWHERE.values()}
    if not keep_truncate:
        refused.add(numbers.truncate)
    if not keep_metadata:
        refused |= {*numbers.metadata.values(), *_METADATA_EVERYWHERE.values()}
    program = [
        _op(_LOAD, _ARCHITECTURE_AT),
        _op(_JUMP_EQUAL, numbers.audit, 1, 0),
        _answer(errno.ENOSYS),  # 32-bit calls have other numbers: a way around the list below
        _op(_LOAD, _NUMBER_AT),
    ]
    if numbers.x32:
        program += [_op(_JUMP_AT_LEAST, _X32_BIT, 0, 1), _answer(errno.ENOSYS)]
    program += _refuse(sorted(refused))
    if not keep_metadata:
        program += _refuse_times_by_path(numbers.utimensat)
    # The C library falls back to clone, whose flags a filter can read.
    program += [_op(_JUMP_EQUAL, _CLONE3, 0, 1), _answer(errno.ENOSYS)]
    program += [
        _op(_JUMP_EQUAL, numbers.clone, 0, 4),
        _op(_LOAD, _FIRST_ARGUMENT_AT),
        _op(_JUMP_ANY_BIT, _CLONE_NAMESPACES, 0, 1),
        _answer(errno.EPERM),
        _op(_RETURN, _ALLOW),
        _op(_JUMP_EQUAL, numbers.socket, 1, 0),
        _op(_RETURN, _ALLOW),
        _op(_LOAD, _FIRST_ARGUMENT_AT),
    ]
    for family in families:
        program += [_op(_JUMP_EQUAL, family, 0, 1), _op(_RETURN, _ALLOW)]
    program.append(_answer(errno.EPERM))
    return b"".join(program)


def filters(*, keep_metadata: bool = True) -> dict[bool, bytes | None]:
    """Without and with unix sockets; None where this machine's calls are not known. Made once, for all jobs."""
    numbers, version = architecture(), landlock.abi()
    if numbers is None:
        return {False: None, True: None}
    keep_truncate = version >= landlock.TRUNCATE_SINCE
    return {
        sockets: build(
            numbers, unix_sockets=sockets, keep_truncate=keep_truncate, keep_metadata=keep_metadata
        )
        for sockets in (False, True)
    }
