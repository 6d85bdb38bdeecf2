"""How quiet the machine was while something was measured.

What other work took is the processor time of the whole machine less that of the bench and its descendants
(proc(5): ``/proc/stat`` and ``/proc/PID/stat``). The load average says less: it still holds the measurement
before this one.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

OTHERS_BOUND = 0.15
"""Share of all processors that other work may take before a figure is marked."""


@dataclass(frozen=True, slots=True)
class Times:
    """Clock ticks since the start: of all processors, those of them at work, and those of the bench's work."""

    total: int
    used: int
    own: int


@dataclass(frozen=True, slots=True)
class Conditions:
    """The machine during one measurement."""

    load_before: float
    load_after: float
    others: float
    """Share (0 to 1) of all processors that other work took."""
    late_ms: float
    """How late the load generator was at worst; at a steady rate more than a few ms means a busy machine."""

    @property
    def busy(self) -> bool:
        return self.others > OTHERS_BOUND

    def to_json(self) -> dict[str, object]:
        return {
            "load_before": round(self.load_before, 2),
            "load_after": round(self.load_after, 2),
            "others_percent": round(100 * self.others, 1),
            "late_ms": round(self.late_ms, 1),
            "busy": self.busy,
        }


class Watch:
    """Around one measurement: what the machine did besides. ``lateness`` is filled by the load generator."""

    def __init__(self, lateness: list[float]) -> None:
        self._lateness = lateness
        self.conditions = Conditions(0, 0, 0, 0)

    def __enter__(self) -> Self:
        self._lateness.clear()
        self._load, self._before = os.getloadavg()[0], read_times()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        share = others_share(self._before, read_times())
        late = max(self._lateness, default=0.0)
        self.conditions = Conditions(self._load, os.getloadavg()[0], share, late)


def others_share(before: Times, after: Times) -> float:
    """The share of all processors that neither idled nor worked for the bench."""
    total = after.total - before.total
    if total <= 0:
        return 0.0
    others = (after.used - before.used) - (after.own - before.own)
    return min(1.0, max(0.0, others / total))


def read_times() -> Times:
    """Of now. What a hypervisor took away (steal) counts as used by others."""
    own = ticks_of(os.getpid())
    user, nice, system, idle, iowait, irq, softirq, steal = _processors()
    used = user + nice + system + irq + softirq + steal
    return Times(used + idle + iowait, used, own)


def ticks_of(pid: int) -> int:
    """Processor time of a process, its descendants, and those of them that ended and were waited for."""
    try:
        # The name stands in parentheses and may hold anything; utime is the 14th field of the line.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        children = [
            int(child)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    except OSError:
        return 0
    return sum(int(field) for field in fields[11:15]) + sum(ticks_of(child) for child in children)


def _processors() -> list[int]:
    with Path("/proc/stat").open() as file:
        return [int(field) for field in file.readline().split()[1:9]]
