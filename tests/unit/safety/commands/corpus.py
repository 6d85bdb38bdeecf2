"""The commands of the corpus, as data."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from appliance.safety.commands import CommandClass

_FOLDER = Path(__file__).with_name("corpus")


@dataclass(frozen=True, slots=True)
class Bypass:
    """A command that must not come out below ``least``."""

    group: str
    command: str
    least: CommandClass


def bypasses() -> list[Bypass]:
    """Every command that tries to pass for harmless."""
    groups = yaml.safe_load((_FOLDER / "bypasses.yaml").read_text())
    return [
        Bypass(name, command, CommandClass(group.get("least", "change")))
        for name, group in groups.items()
        for command in _lines(group["commands"])
    ]


def everyday() -> list[tuple[str, CommandClass]]:
    """Ordinary commands with the class that people expect."""
    classes = yaml.safe_load((_FOLDER / "everyday.yaml").read_text())
    return [(command, CommandClass(name)) for name, text in classes.items() for command in _lines(text)]


def _lines(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if line:
            yield line.replace("⏎", "\n")
