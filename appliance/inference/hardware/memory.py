"""The machine's memory, as far as the control groups around this box let it have it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from appliance.inference.hardware import cgroups
from appliance.inference.hardware.roots import Roots, number_of, pairs, text_of, whole


@dataclass(frozen=True, slots=True)
class Limit:
    """Of one control group, in bytes. ``kept`` is what of ``used`` the kernel gives back when it is short: old pages
    of files."""

    most: int
    used: int
    kept: int = 0

    @property
    def free(self) -> int:
        return max(self.most - max(self.used - self.kept, 0), 0)


def parse_meminfo(text: str) -> tuple[int, int]:
    """MemTotal and MemAvailable of ``/proc/meminfo`` in bytes; 0 where a line is missing."""
    known = pairs(text, ":")
    total, available = (
        (whole(known.get(name, "").removesuffix("kB")) or 0) << 10 for name in ("MemTotal", "MemAvailable")
    )
    return total, min(available, total)


def bounded(total: int, available: int, limits: Iterable[Limit]) -> tuple[int, int]:
    for limit in limits:
        total, available = min(total, limit.most), min(available, limit.free)
    return total, available


def read(roots: Roots) -> tuple[int, int]:
    """Total and available, in bytes."""
    total, available = parse_meminfo(text_of(roots.proc / "meminfo"))
    limits = (_limit(folder) for folder in cgroups.folders(roots, "memory"))
    return bounded(total, available, (limit for limit in limits if limit is not None))


def _limit(folder: Path) -> Limit | None:
    """None where it sets none (`max`). Version 1 says a number near 2^63 for none, which bounds nothing either."""
    newer = (folder / "memory.max").exists()
    names = ("memory.max", "memory.current") if newer else ("memory.limit_in_bytes", "memory.usage_in_bytes")
    most, used = (number_of(folder / name) for name in names)
    if most is None or used is None:
        return None
    kept = pairs(text_of(folder / "memory.stat"), " ").get(
        "inactive_file" if newer else "total_inactive_file", ""
    )
    return Limit(most, used, whole(kept) or 0)
