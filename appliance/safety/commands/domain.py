"""What is said about a command: its simple commands, the class of each, and why."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from appliance.lib.jsontypes import JsonObject

SCRIPTED = frozenset({"shell", "container"})
"""Kinds of action whose arguments hold a command."""


class CommandClass(StrEnum):
    """What a command does to the world, from the mildest to the strictest answer."""

    READ = "read"
    CHANGE = "change"
    DESTROY = "destroy"
    """What it removes or stops does not come back by itself."""
    UNKNOWN = "unknown"
    """It cannot be told without running it, or its program is not in the tables."""

    @property
    def rank(self) -> int:
        return _RANK[self]


_RANK = {one: rank for rank, one in enumerate(CommandClass)}


def strictest(classes: Iterable[CommandClass]) -> CommandClass:
    """The strictest of ``classes``; READ for none."""
    return max(classes, key=_RANK.__getitem__, default=CommandClass.READ)


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a command line as the program gets it.

    ``text`` is the whole word where ``known``, else its certain beginning. ``many``: it may become any number of
    words. ``globbed``: it is unknown only because ``sh`` puts the names of matching files in its place.
    ``split``: only its first part begins like that; what follows is any word.
    """

    text: str
    known: bool = True
    many: bool = False
    globbed: bool = False
    split: bool = False

    @property
    def may_be_option(self) -> bool:
        return self.text.startswith("-") or (not self.known and not self.text)

    @property
    def shown(self) -> str:
        return self.text if self.known else f"{self.text}…"


UNKNOWN_WORD = Word("", known=False)
UNKNOWN_WORDS = Word("", known=False, many=True)


@dataclass(frozen=True, slots=True)
class Judgement:
    """A class and the sentence that explains it. ``repeatable``: reading twice is the same as reading once."""

    kind: CommandClass
    reason: str
    repeatable: bool = True
    writes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Leaf:
    """One simple command, after every wrapper around it was taken off.

    ``argv``: its words, ``…`` where one is not known. ``wrappers``: the programs that it was unwrapped from,
    outermost first. ``writes``: files that a redirection or an option writes. ``binaries``: the names of the
    programs that really run on this machine for it (not the shell's own commands, nor what runs elsewhere).
    """

    argv: tuple[str, ...]
    program: str
    kind: CommandClass
    reason: str
    wrappers: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    binaries: tuple[str, ...] = ()
    repeatable: bool = True

    def as_json(self) -> JsonObject:
        """For the audit and the run page; long words are cut."""
        said: JsonObject = {
            "argv": [word if len(word) <= _SHOWN else f"{word[:_SHOWN]}…" for word in self.argv[:_WORDS]],
            "program": self.program,
            "class": self.kind.value,
            "reason": self.reason,
        }
        if self.wrappers:
            said["wrappers"] = list(self.wrappers)
        if self.writes:
            said["writes"] = list(self.writes)
        return said


_SHOWN, _WORDS = 200, 32


@dataclass(frozen=True, slots=True)
class Understanding:
    """All that a script does, as far as it can be told. ``shell``: the binary that reads it, if one does."""

    leaves: tuple[Leaf, ...]
    shell: str | None = None

    @property
    def kind(self) -> CommandClass:
        """The strictest class of the leaves; of an empty script READ."""
        return strictest(leaf.kind for leaf in self.leaves)

    @property
    def reasons(self) -> tuple[str, ...]:
        """The sentences of those leaves that made the class what it is, each once."""
        kind = self.kind
        return tuple(dict.fromkeys(leaf.reason for leaf in self.leaves if leaf.kind is kind))

    @property
    def repeatable(self) -> bool:
        """Whether it only reads, and reading twice is the same as reading once."""
        return bool(self.leaves) and all(
            leaf.kind is CommandClass.READ and leaf.repeatable for leaf in self.leaves
        )

    def as_json(self) -> JsonObject:
        return {
            "class": self.kind.value,
            "reasons": list(self.reasons[:_WORDS]),
            "leaves": [leaf.as_json() for leaf in self.leaves],
        }
