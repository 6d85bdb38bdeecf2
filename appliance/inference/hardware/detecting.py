"""What this machine has: its processor and its memory."""

import os
from pathlib import Path

from appliance.inference.hardware.domain import Hardware, Processor

_FEATURES = ("avx2", "avx512f", "amx_int8", "f16c", "fma", "neon")


async def detect() -> Hardware:
    """Read anew each time: what is available changes."""
    return _read()


def _read() -> Hardware:
    memory = _memory(Path("/proc/meminfo").read_text())
    return Hardware(
        _processor(Path("/proc/cpuinfo").read_text()),
        memory["MemTotal"],
        memory.get("MemAvailable", memory["MemTotal"]),
    )


def _memory(text: str) -> dict[str, int]:
    """Bytes, by the kernel's own names."""
    lines = (line.split() for line in text.splitlines())
    return {words[0].rstrip(":"): int(words[1]) << 10 for words in lines if len(words) > 1}


def _processor(text: str) -> Processor:
    known = dict(_field(line) for line in text.splitlines() if ":" in line)
    features = known.get("flags", known.get("Features", "")).split()
    return Processor(
        known.get("model name", ""),
        len(os.sched_getaffinity(0)),
        frozenset(name for name in _FEATURES if name in features),
    )


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.strip(), value.strip()
