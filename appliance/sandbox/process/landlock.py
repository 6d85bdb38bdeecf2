"""Landlock: a process gives up, for itself and its children, every path that no rule names.

See https://docs.kernel.org/userspace-api/landlock.html. The access rights grew with the ABI version:
1 file system (Linux 5.13), 2 REFER (5.19), 3 TRUNCATE (6.2), 5 IOCTL_DEV (6.10), 6 scopes (6.12).
"""

import ctypes
import os
import stat
import struct

from appliance.sandbox.process import kernel

CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_RULE_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_REG = 1 << 4, 1 << 5, 1 << 7, 1 << 8
_MAKE_SOCK, _MAKE_FIFO, _MAKE_SYM = 1 << 9, 1 << 10, 1 << 12
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15

LIST_AND_READ = _READ_FILE | _READ_DIR
READ = LIST_AND_READ | _EXECUTE
USE_DEVICE = _READ_FILE | _WRITE_FILE | _TRUNCATE
WRITE = (
    READ | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _MAKE_SOCK | _MAKE_FIFO
    | _MAKE_SYM | _REFER | _TRUNCATE | _IOCTL_DEV
)  # fmt: skip
_ON_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV

_SCOPE_ABSTRACT_SOCKETS, _SCOPE_SIGNALS = 1 << 0, 1 << 1
TRUNCATE_SINCE, SCOPES_SINCE = 3, 6


def abi() -> int:
    """The newest Landlock version that this kernel speaks; 0 when it has none."""
    try:
        return kernel.syscall(CREATE_RULESET, None, 0, _VERSION_FLAG)
    except OSError:
        return 0


def _handled(version: int) -> int:
    rights = (1 << 13) - 1
    if version >= 2:
        rights |= _REFER
    if version >= TRUNCATE_SINCE:
        rights |= _TRUNCATE
    if version >= 5:
        rights |= _IOCTL_DEV
    return rights


class Ruleset:
    """What may be touched; all else of the file system is out of reach once ``restrict_self`` was called."""

    __slots__ = ("_handled", "fd")

    def __init__(self, version: int) -> None:
        self._handled = _handled(version)
        attributes = struct.pack("=Q", self._handled)
        if version >= SCOPES_SINCE:
            attributes += struct.pack("=QQ", 0, _SCOPE_ABSTRACT_SOCKETS | _SCOPE_SIGNALS)
        buffer = ctypes.create_string_buffer(attributes, len(attributes))
        self.fd = kernel.syscall(CREATE_RULESET, buffer, len(attributes), 0)
        os.set_inheritable(self.fd, False)

    def allow(self, path_fd: int, rights: int) -> None:
        """Allow ``rights`` on what ``path_fd`` is open on, and below it when that is a folder."""
        rights &= self._handled
        if not stat.S_ISDIR(os.fstat(path_fd).st_mode):
            rights &= _ON_A_FILE
        attributes = struct.pack("=Qi", rights, path_fd)
        buffer = ctypes.create_string_buffer(attributes, len(attributes))
        kernel.syscall(_ADD_RULE, self.fd, _RULE_PATH_BENEATH, buffer, 0)

    def restrict_self(self) -> None:
        """Confine this process for good. Needs no_new_privs."""
        kernel.syscall(_RESTRICT_SELF, self.fd, 0)
