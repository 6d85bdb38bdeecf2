"""What is wrong with a file, and where."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from appliance.lib.errors import MillwrightError
from appliance.lib.jsontypes import JsonObject, JsonValue

Path = tuple[str | int, ...]

MOST_PROBLEMS = 100
"""Problems reported for one file; beyond them a person mends and tries again."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem. ``line`` and ``column`` count from 1; ``path`` reads like ``[0].actions[1].message``."""

    file: str
    line: int
    column: int
    path: str
    message: str
    expected: str = ""
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}: "
        at = f"{self.path}: " if self.path else ""
        expected = f"; expected: {self.expected}" if self.expected else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{where}{at}{self.message}{expected}{hint}"

    def to_json(self) -> JsonObject:
        return asdict(self)


class FileRefused(MillwrightError):
    """A file that changes nothing because of its ``problems``, in the order of the file."""

    code = "file.refused"

    def __init__(self, problems: Sequence[Problem]) -> None:
        count = len(problems)
        super().__init__("\n".join([f"{count} problem{'s' * (count != 1)}", *map(str, problems)]))
        self.problems = tuple(problems)


def path_text(path: Path) -> str:
    """``(0, "actions", 1)`` as ``[0].actions[1]``."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in path]
    return "".join(parts).removeprefix(".")


def part_at(value: JsonValue, path: Path) -> JsonValue:
    """What stands at ``path`` in a value; None where nothing does."""
    for part in path:
        if isinstance(value, dict) and isinstance(part, str):
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            return None
    return value
