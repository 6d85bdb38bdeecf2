"""Taking an engine away for a while: stopped, so that connections fail, or frozen, so that nothing answers."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from appliance.processes import control
from appliance.processes.bench.box import Box, pss_mib
from appliance.processes.manager import Manager

SERVICES = ("web", "worker", "beat", "reactor")


@contextmanager
def away(box: Box, part: str, how: str) -> Iterator[None]:
    """Without ``part`` of the box while the block runs."""
    manager = Manager(box.config.home)
    if how == "stopped":
        control.call(manager.socket, manager.password, "stopProcess", part)
        try:
            yield
        finally:
            manager.start(part)
        return
    frozen = freeze(box.parts()[part])
    try:
        yield
    finally:
        for pid in frozen:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def freeze(pid: int) -> list[int]:
    """SIGSTOP to a process and its descendants; the parent first, so that it makes no more of them."""
    os.kill(pid, signal.SIGSTOP)
    frozen = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            with suppress(ProcessLookupError, FileNotFoundError):
                frozen += freeze(int(child))
    return frozen


@dataclass(frozen=True, slots=True)
class Look:
    """One answer of ``/readyz``: when it was asked (monotonic), how long it took, and what it said."""

    at: float
    seconds: float
    status: int
    parts: dict[str, Any]

    def blames(self, part: str) -> bool:
        return part in self.parts and not self.parts[part]["healthy"]


@dataclass
class Watch:
    """Asks ``/readyz`` each second and weighs the services, in a thread of its own."""

    box: Box
    looks: list[Look] = field(default_factory=list)
    weights: list[dict[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._pids = {name: pid for name, pid in self.box.parts().items() if name in SERVICES}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)

    def _watch(self) -> None:
        host, port = self.box.config.http_listen
        while not self._stop.wait(1):
            began = time.monotonic()
            try:
                answer = httpx.get(f"http://{host}:{port}/readyz", timeout=40, trust_env=False)
                status, parts = answer.status_code, answer.json()["parts"]
            except (httpx.HTTPError, ValueError, KeyError):
                status, parts = 0, {}
            self.looks.append(Look(began, time.monotonic() - began, status, parts))
            self.weights.append({name: pss_mib(pid) for name, pid in self._pids.items()})

    def grown(self) -> dict[str, float]:
        """MiB that each service has at its heaviest more than at the start."""
        first = self.weights[0]
        return {name: max(seen[name] for seen in self.weights) - first[name] for name in first}
