"""The tables of programs: what each option takes and what it changes, read from ``tables/*.yaml`` at first use.

An entry is for one or more names::

    sort:
      class: read                     # of the program without any option that changes it (default: read)
      says: sorts lines               # the sentence, after the program's name
      flags: -r -u --reverse          # options without a value; "--color?" may have one behind "="
      values: -k --key                # options with a value, any of which is harmless
      turns:                          # options that change the class; "=" takes a value, "?" may have one attached
        "-o= --output=": write into a file          # "write": the value is a file that is written
      only: {"-X": "GET|HEAD else change sends"}     # a value, or each "operand", that matches; else this
      operands: 1                     # at most so many (default: any)
      more: change is written         # what further operands mean (default: not understood)
      targets: all | last             # operands that are written
      commands: {status show: read says}             # the first operand chooses; each inherits the options
      free: true                      # no argument can change the class
      repeatable: false               # what is read is not the same twice, or is taken away by reading
      numeric: true                   # -5 stands for a number
      permute: false                  # options end at the first operand
      once: true                      # options with one dash and many letters, no clusters (``-name``)

Options are exact: no abbreviation of a long one is understood.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from appliance.safety.commands.domain import CommandClass

_TABLES = Path(__file__).with_name("tables")
WRITE = "write"


@dataclass(frozen=True, slots=True)
class Option:
    """``takes``: "" no value, "=" a value, "?" one that is attached or none. ``turn``: what it changes."""

    takes: str
    turn: "Turn | None" = None


@dataclass(frozen=True, slots=True)
class Turn:
    """A class, and the sentence of the option or subcommand. ``write``: its value is a file that is written."""

    kind: CommandClass
    says: str
    write: bool = False


@dataclass(frozen=True, slots=True)
class Schema:
    kind: CommandClass = CommandClass.READ
    says: str = "reads"
    options: dict[str, Option] = field(default_factory=dict)
    operands: int | None = None
    more: Turn | None = None
    targets: str = ""
    commands: "dict[str, Schema] | None" = None
    free: bool = False
    repeatable: bool = True
    numeric: bool = False
    permute: bool = True
    once: bool = False
    only: "dict[str, Only]" = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Only:
    """The values of an option, or the operands, that leave the class as it is; any other makes ``otherwise``."""

    matches: "re.Pattern[str]"
    otherwise: Turn


@lru_cache(maxsize=1)
def tables() -> dict[str, Schema]:
    """Every program in the tables, by name."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    found: dict[str, Schema] = {}
    for path in sorted(_TABLES.glob("*.yaml")):
        for names, entry in yaml.load(path.read_text(), Loader=loader).items():  # noqa: S506 - a safe one
            schema = _schema(entry, None)
            for name in names.split():
                if name in found:
                    raise ValueError(f"{path.name}: {name} is in the tables twice")
                found[name] = schema
    return found


_KEYS = frozenset(
    {"class", "says", "flags", "values", "turns", "operands", "more", "targets", "commands", "free", "repeatable",
     "numeric", "permute", "once", "only"}
)  # fmt: skip


_ASKING = {name: Option("", Turn(CommandClass.READ, "says what it is")) for name in ("--help", "--version")}
"""What every program but an interpreter answers; nothing else happens then."""


def _schema(entry: dict[str, Any] | str, parent: Schema | None) -> Schema:
    if isinstance(entry, str):
        kind, _, says = entry.partition(" ")
        free = kind.endswith("*")
        entry = {"class": kind.rstrip("*"), "says": says or "reads", "free": free}
    if extra := set(entry) - _KEYS:
        raise ValueError(f"unknown keys in the tables: {', '.join(sorted(extra))}")
    base = parent or Schema(options=dict(_ASKING) if entry.get("class") != "unknown" else {})
    options = dict(base.options)
    options.update(_options(entry))
    made = replace(
        base,
        kind=CommandClass(entry.get("class", "read")),
        says=entry.get("says", "reads"),
        options=options,
        operands=entry.get("operands"),
        more=_turn(entry["more"]) if "more" in entry else None,
        targets=entry.get("targets", ""),
        commands=None,
        free=entry.get("free", False),
        repeatable=entry.get("repeatable", base.repeatable),
        numeric=entry.get("numeric", base.numeric),
        permute=entry.get("permute", base.permute),
        once=entry.get("once", base.once),
        only={**base.only, **dict(_only(entry))},
    )
    if "commands" not in entry:
        return made
    commands = {
        name: _schema(inner, made)
        for names, inner in entry["commands"].items()
        for name in str(names).split()
    }
    return replace(made, commands=commands)


def _options(entry: dict[str, Any]) -> Iterator[tuple[str, Option]]:
    for name in entry.get("flags", "").split():
        yield name.rstrip("?"), Option("?" if name.endswith("?") else "")
    for name in entry.get("values", "").split():
        yield name, Option("=")
    for names, turn in entry.get("turns", {}).items():
        for name in names.split():
            takes = name[-1] if name[-1] in "=?" else ""
            yield name.rstrip("=?"), Option(takes, _turn(turn))


def _only(entry: dict[str, Any]) -> Iterator[tuple[str, Only]]:
    for names, text in entry.get("only", {}).items():
        expression, _, otherwise = text.rpartition(" else ")
        for name in names.split():
            yield name, Only(re.compile(expression, re.DOTALL), _turn(otherwise))


def _turn(text: str) -> Turn:
    kind, _, says = text.partition(" ")
    if kind == WRITE:
        return Turn(CommandClass.CHANGE, says, write=True)
    return Turn(CommandClass(kind), says)
