"""Where the machine is looked at, and reading that never fails: what cannot be read is not there."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from appliance.inference.hardware.domain import Accelerator

_LONGEST = 1 << 20
"""Bytes of one file. A CDI specification of sixteen devices has some 50 kB."""


@dataclass(frozen=True, slots=True)
class Roots:
    """The trees that are read. ``programs`` is a PATH, where drivers' programs are looked for, and ``seconds`` how long
    one of those may take."""

    sys: Path = Path("/sys")
    proc: Path = Path("/proc")
    dev: Path = Path("/dev")
    etc: Path = Path("/etc")
    run: Path = Path("/run")
    programs: str = field(default_factory=lambda: f"{os.environ.get('PATH', os.defpath)}:/usr/lib/wsl/lib")
    seconds: float = 5.0

    def node(self, name: str) -> str:
        """The device file ``name`` as programs open it, empty where there is none."""
        return f"/dev/{name}" if (self.dev / name).exists() else ""

    def nodes(self, *names: str) -> tuple[str, ...]:
        return tuple(node for name in names if (node := self.node(name)))

    def may_use(self, node: str) -> bool:
        return os.access(self.dev / node.removeprefix("/dev/"), os.R_OK | os.W_OK)


@dataclass(frozen=True, slots=True)
class Seen:
    """What one source shows. ``notes`` say of what is there why it cannot be used."""

    accelerators: tuple[Accelerator, ...] = ()
    notes: tuple[str, ...] = ()

    def __add__(self, other: "Seen") -> "Seen":
        return Seen(self.accelerators + other.accelerators, self.notes + other.notes)


def text_of(path: Path) -> str:
    """Its text, empty where it is not there or may not be read. Bytes that are no text are replaced."""
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST).decode(errors="replace")
    except (OSError, ValueError):
        return ""


def number_of(path: Path) -> int | None:
    return whole(text_of(path))


def whole(text: str) -> int | None:
    """A number of the kernel's, None where the text is something else."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else None


def inside(folder: Path, pattern: str = "*") -> Iterator[Path]:
    """What is in a folder, by name; nothing where there is none."""
    try:
        yield from sorted(folder.glob(pattern))
    except OSError:
        return


def pairs(text: str, separator: str) -> dict[str, str]:
    """Lines of ``key<separator>value``. Of a key that comes twice the first one counts."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        key, middle, value = line.partition(separator)
        if middle:
            found.setdefault(key.strip(), value.strip())
    return found
