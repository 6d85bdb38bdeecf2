"""Runs a command on a kernel that seems to lack one system call: ``without_call.py NUMBER ERROR COMMAND…``.

As without Landlock (its first call gives ENOSYS), or where nobody but root may make namespaces (unshare gives EPERM).
"""

import errno
import os
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from appliance.sandbox.process import kernel

if __name__ == "__main__":
    number, error = int(sys.argv[1]), getattr(errno, sys.argv[2])
    program = (
        (0x20, 0, 0, 0),  # load the number of the call
        (0x15, 0, 1, number),
        (0x06, 0, 0, 0x00050000 | error),
        (0x06, 0, 0, 0x7FFF0000),  # allow
    )
    kernel.forbid_new_privileges()
    kernel.filter_system_calls(b"".join(struct.pack("=HBBI", *instruction) for instruction in program))
    os.execv(sys.argv[3], sys.argv[3:])
