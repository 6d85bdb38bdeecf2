"""One stack per home, and one worker in each place of it."""

import fcntl
import os
import time
from pathlib import Path

from appliance.lib.errors import MillwrightError
from appliance.lib.home import Home
from appliance.processes.layout import lock_file, place_file


class AlreadyRunning(MillwrightError):
    code = "stack.already_running"


class PlaceTaken(MillwrightError):
    code = "worker.place_taken"


def take(home: Home) -> int:
    """Hold the home's lock for as long as this process (or what it becomes by exec) lives. Raises
    AlreadyRunning."""
    handle, other = _take(lock_file(home))
    if handle is None:
        raise AlreadyRunning(
            f"the box of {home.path} is running already" + (f", as process {other}" if other else ""),
            hint="make status shows it, make down stops it; another box needs another MILLWRIGHT_HOME",
        )
    os.set_inheritable(handle, True)
    return handle


def take_place(home: Home, number: int) -> int:
    """Hold a worker's place for as long as this process lives. Raises PlaceTaken: who starts in a place takes over
    the runs of an earlier life in it, which must not be those of a living worker."""
    handle, other = _take(place_file(home, number))
    if handle is None:
        raise PlaceTaken(
            f"another worker of this box has place {number}" + (f": process {other}" if other else ""),
            hint=f"give this one a place of its own: --number {number + 1}",
        )
    return handle


def _take(path: Path) -> tuple[int | None, str]:
    """The handle that holds the lock; without one the pid of the process that holds it, if that is known."""
    # Not emptied on opening: the one that holds it keeps its pid there.
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        other = os.read(handle, 32).decode().strip()
        os.close(handle)
        return None, other
    os.ftruncate(handle, 0)
    os.write(handle, f"{os.getpid()}\n".encode())
    return handle, ""


def holder(home: Home) -> int | None:
    """The process that holds the lock, None when nobody does."""
    handle = _open(lock_file(home))
    if handle is None:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.read(handle, 32).decode().strip()
        return int(text) if text.isdigit() else None
    finally:
        os.close(handle)
    return None


def wait_until_free(home: Home, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while holder(home) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _open(path: Path) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
