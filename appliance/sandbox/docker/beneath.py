"""Opening a path as a container sees it: no link leads out of the container's root."""

import ctypes
import os
import struct

from appliance.sandbox.process import kernel

_OPENAT2 = 437
"""The number of the system call, the same on every architecture; the C library has no function for it."""
_NO_MAGICLINKS, _IN_ROOT = 0x02, 0x10

_HOW = struct.Struct("=3Q")
"""Flags, mode, and how links are resolved."""


def open_in_root(root: int, path: str) -> int:
    """A descriptor (O_PATH) of ``path``, with ``root`` (a folder's descriptor) as ``/``, also for absolute links
    and ``..``. Raises OSError."""
    how = _HOW.pack(os.O_PATH | os.O_CLOEXEC, 0, _NO_MAGICLINKS | _IN_ROOT)
    return kernel.syscall(
        _OPENAT2,
        root,
        ctypes.create_string_buffer(os.fsencode(path)),
        ctypes.create_string_buffer(how, _HOW.size),
        _HOW.size,
    )
