"""The all-stop's levels and its file: pure rules, and the one thing that works with everything else away."""

import os
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from appliance.lib.atomic import write_atomically
from appliance.lib.home import owner_of
from appliance.lib.stop_file import FILE_NAME, read_word


class Level(StrEnum):
    """How much stands still; each level holds what the one before it holds."""

    NONE = "none"
    FREEZE = "freeze"
    """No new effect; what runs goes on to its end."""
    KILL = "kill"
    """Running sandboxes are killed too."""
    CUT = "cut"
    """Nothing leaves the box: the outbox, the bridges, other brokers and other boxes stand still."""
    READ_ONLY = "read_only"
    """Not even steps without effect run; people can only look."""

    @property
    def rank(self) -> int:
        return _RANKS[self]


_RANKS = {level: rank for rank, level in enumerate(Level)}


@dataclass(frozen=True, slots=True)
class AllStop:
    """The switch as it stands. The epoch moves on with each change that the database saw."""

    epoch: int = 0
    level: Level = Level.NONE
    since: datetime | None = None
    by: str = ""
    reason: str = ""

    @property
    def engaged(self) -> bool:
        return self.level is not Level.NONE

    def at_least(self, level: Level) -> bool:
        return self.level.rank >= level.rank

    @property
    def cuts(self) -> bool:
        """Whether nothing may leave the box: asked by whatever sends."""
        return self.at_least(Level.CUT)

    def holds(self, *, acts: bool) -> bool:
        """Whether a new step must wait; one that does not act goes on until READ_ONLY."""
        return self.engaged if acts else self.at_least(Level.READ_ONLY)

    def raised_by_file(self, level: Level) -> "AllStop":
        """With the file's level where that is the stricter one."""
        if level.rank <= self.level.rank:
            return self
        return replace(self, level=level, by="file", reason=f"the file {FILE_NAME} is in the home")


class StopFile:
    """``<home>/ALLSTOP``: its presence stops the box, whatever it says. The first word may name a level.

    It may be a link to where a process looks that does not see the home, as the spawner of a box in containers. What
    stands there in its place is never followed: it may be of a spawner that was taken over. Root writes through no link
    at all: who owns the home could have it write anywhere.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self.path = home / FILE_NAME
        self._path = str(self.path)

    def level(self) -> Level:
        """NONE without the file. A file that cannot be read or says something else means FREEZE."""
        return Level(read_word(self._path))

    def write(self, level: Level, by: str, reason: str) -> None:
        """Engage by file, durable at once."""
        one_line = " ".join(f"{by}: {reason}".split())[:500]
        owner = owner_of(self._home) if os.geteuid() == 0 else None
        write_atomically(self._place(), f"{level.value}\n{one_line}\n".encode(), mode=0o644, owner=owner)

    def remove(self) -> None:
        self._place().unlink(missing_ok=True)

    def _place(self) -> Path:
        """The file, or what its own link names: one link, as the image has it, to a file of the same name."""
        if os.geteuid() == 0:
            return self.path
        try:
            named = self.path.readlink()
        except OSError:  # no link
            return self.path
        return named if named.is_absolute() and named.name == FILE_NAME else self.path
