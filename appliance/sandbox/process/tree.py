"""Ending a tree of processes, whatever it does to stay alive."""

# pathlib is not loaded in the spawner
# ruff: noqa: PTH123, PTH208

import os
import signal
import time
from collections.abc import Callable

_PAUSE = 0.002


def _stat(pid: int) -> tuple[int, str, int] | None:
    """Parent, state and start time of a process, or None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except OSError:
        return None
    # The name in parentheses may hold anything, also a parenthesis.
    fields = text[text.rfind(b")") + 2 :].split()
    return int(fields[1]), fields[0].decode("ascii"), int(fields[19])


def parent_of(pid: int) -> tuple[int, int] | None:
    """The parent of a process, and the start time of the process itself; None when it is gone or hidden."""
    found = _stat(pid)
    return (found[0], found[2]) if found else None


def descendants(root: int, spare: frozenset[int] = frozenset()) -> dict[int, int]:
    """Every living process below ``root`` with its start time; not those of the children in ``spare``."""
    children: dict[int, list[tuple[int, str, int]]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (found := _stat(int(name))):
            children.setdefault(found[0], []).append((int(name), found[1], found[2]))
    result: dict[int, int] = {}
    queue = [root]
    while queue:
        for pid, state, started in children.get(queue.pop(), ()):
            if pid in spare or pid in result:
                continue
            queue.append(pid)
            if state not in "ZX":
                result[pid] = started
    return result


def _send(pid: int, started: int, number: int) -> None:
    """Signal exactly this process: by a handle, since its number may have gone to another one meanwhile."""
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return
    try:
        found = _stat(pid)
        if found and found[2] == started:
            signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return
    finally:
        os.close(handle)


def _strike(root: int, spare: frozenset[int]) -> None:
    """Freeze the whole tree, then kill it.

    A tree that forks faster than one can kill is bounded by its limit of processes; a stopped process keeps
    its place in that limit, so that each round leaves fewer that can still fork.
    """
    frozen: dict[int, int] = {}
    while True:
        fresh = {p: s for p, s in descendants(root, spare).items() if frozen.get(p) != s}
        if not fresh:
            break
        for pid, started in fresh.items():
            _send(pid, started, signal.SIGSTOP)
        frozen.update(fresh)
    for pid, started in frozen.items():
        _send(pid, started, signal.SIGKILL)


def end(root: int, gone: Callable[[], bool], *, spare: frozenset[int] = frozenset(), patience: float) -> bool:
    """Kill everything below ``root`` until ``gone`` (which reaps) says that nothing is left.

    False when something is still there after ``patience`` seconds: a process in an uninterruptible wait.
    """
    give_up = time.monotonic() + patience
    while not gone():
        if time.monotonic() > give_up:
            return False
        _strike(root, spare)
        if gone():
            break
        time.sleep(_PAUSE)
    return True
