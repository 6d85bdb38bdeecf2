"""Finds and clears what a killed stack left behind: processes, sockets, stale locks.

A process is known by its pid file *and* start time, by the box's mark in its environment, or by working in
the database's folder: a server's children have neither of the other two.
"""

import contextlib
import os
import signal
import time
from pathlib import Path

from appliance.lib.home import Home
from appliance.processes.engines.postgres import data_folder
from appliance.processes.launch import start_time
from appliance.processes.layout import pid_folder

GENTLE_SECONDS = 15.0
HARD_SECONDS = 5.0
MARK = "MILLWRIGHT_BOX"
"""Variable with the box's id in the environment of the process manager and of all that it starts."""


def running(home: Home) -> dict[int, str]:
    """The processes of this box that live, by pid; none of the caller's own line."""
    found = {**_in_folder(data_folder(home)), **_marked(home), **_remembered(pid_folder(home))}
    for pid in _own_line():
        found.pop(pid, None)
    return found


def clear(home: Home) -> list[str]:
    """End what is left, gently first, and remove what it would stumble over. Gives the names of what was
    ended.

    Only for the holder of the home's lock.
    """
    left = running(home)
    for pid, name in left.items():
        if name != "postgres process":  # they follow their server
            _signal(pid, signal.SIGINT if name == "postgres" else signal.SIGTERM)
    for seconds in (GENTLE_SECONDS, HARD_SECONDS):
        deadline = time.monotonic() + seconds
        while running(home) and time.monotonic() < deadline:
            time.sleep(0.03)
        for pid in running(home):
            _signal(pid, signal.SIGKILL)
    for folder, pattern in (
        (pid_folder(home), "*"),
        (home.runtime, "*.sock"),
        (home.runtime, "*.pid"),
        (home.runtime, ".s.PGSQL.*"),
        (data_folder(home), "postmaster.pid"),
    ):
        for file in folder.glob(pattern):
            file.unlink(missing_ok=True)
    return sorted(set(left.values()))


def _remembered(pids: Path) -> dict[int, str]:
    found = {}
    with contextlib.suppress(PermissionError):
        for file in pids.glob("*"):
            pid, _, started = file.read_text().strip().partition(" ")
            if pid.isdigit() and started and start_time(int(pid)) == started:
                found[int(pid)] = file.name
    return found


def _marked(home: Home) -> dict[int, str]:
    mark = f"{MARK}={home.id}".encode()
    return {
        pid: _read(pid, "comm").decode(errors="replace").strip()
        for pid in _processes()
        if mark in _read(pid, "environ").split(b"\0") and start_time(pid)
    }


def _in_folder(folder: Path) -> dict[int, str]:
    found = {}
    for pid in _processes():
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/cwd").readlink() == folder and start_time(pid):
                found[pid] = "postgres process"
    return found


def _processes() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]  # noqa: PTH208 - names only, and often


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def _own_line() -> list[int]:
    line, pid = [], os.getpid()
    while pid > 1:
        line.append(pid)
        stat = _read(pid, "stat").rpartition(b")")[2].split()
        pid = int(stat[1]) if stat else 0
    return line


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
