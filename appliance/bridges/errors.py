"""Errors of bridges that are not about one delivery (those are in appliance.outbox.errors)."""

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.lib.errors import MillwrightError


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a platform configuration, and where. Lines and columns count from 1."""

    path: str
    message: str
    line: int | None = None
    column: int | None = None
    hint: str = ""

    def __str__(self) -> str:
        where = f"line {self.line}, column {self.column}: " if self.line else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{where}{self.path}: {self.message}{hint}" if self.path else f"{where}{self.message}{hint}"


class PlatformsInvalid(MillwrightError):
    """A platform configuration that cannot be meant; ``problems`` has all of them. Nothing was changed."""

    code = "bridges.platforms_invalid"

    def __init__(self, problems: Sequence[Problem], source: str = "") -> None:
        prefix = f"{source}: " if source else ""
        super().__init__("\n".join(f"{prefix}{problem}" for problem in problems))
        self.problems = tuple(problems)


class PlatformUnknown(MillwrightError):
    code = "bridges.platform_unknown"


class MuteRefused(MillwrightError):
    """A mute that is too short, too long, or of something that is not known here."""

    code = "bridges.mute_refused"


class BridgeBroken(MillwrightError):
    """A bridge's folder does not keep the contract."""

    code = "bridges.broken"


class PlatformMoved(MillwrightError):
    """Somebody else changed the platform meanwhile. Nothing was changed."""

    code = "bridges.platform_moved"
