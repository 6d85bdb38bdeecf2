"""What ``ps`` shows of a service that was forked: its own name, not that of the process which it was forked from."""

import ctypes
from pathlib import Path

from appliance.processes.forkserver import NAME

_ARG_START, _ARG_END = 48 - 3, 49 - 3
"""Fields of /proc/PID/stat (proc(5)), counted from behind the name in parentheses."""


def show(name: str) -> None:
    """Write ``name`` over NAME in this process's command line. Where that is not found, nothing is changed."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = int(fields[_ARG_START]), int(fields[_ARG_END])
    shown = Path("/proc/self/cmdline").read_bytes()
    before, found, after = shown.rpartition(b"\0" + NAME.encode() + b"\0")
    if not found or len(name) > len(NAME) or end - start != len(shown):
        return
    if ctypes.string_at(start, len(shown)) != shown:
        return
    # Of the same length: behind it begins the environment.
    own = before + b"\0" + name.encode().ljust(len(NAME), b"\0") + b"\0" + after
    ctypes.memmove(start, own, len(own))
