"""Whether the disk has room: asked before something is written, and while it is."""

import errno
import shutil
from dataclasses import dataclass
from pathlib import Path

from appliance.inference.errors import ImportInterrupted

FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class Space:
    """``reserve``: bytes that stay free for the rest of the box. ``largest``: bytes that one model may have."""

    reserve: int = 2 << 30
    largest: int = 2 << 40

    def require(self, folder: Path, more: int) -> None:
        """Raises ImportInterrupted where ``more`` bytes would not fit beside the reserve."""
        free = shutil.disk_usage(folder).free
        if free - more < self.reserve:
            raise disk_full(
                f"it needs {_gib(more)} more, and the disk has {_gib(free)} free, of which {_gib(self.reserve)} stay"
            )


def disk_full(said: str) -> ImportInterrupted:
    return ImportInterrupted(
        f"the disk is too full: {said}",
        hint="remove what is not needed (manage.py models stored), then say the same again: it goes on from here",
    )


def _gib(count: int) -> str:
    return f"{count / (1 << 30):.1f} GiB" if count >= 1 << 29 else f"{count / (1 << 20):.0f} MiB"
