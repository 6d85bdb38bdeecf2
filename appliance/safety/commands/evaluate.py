"""Walks a script with its values and gives one leaf per simple command, wrappers taken off."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from appliance.safety.commands.around import Around
from appliance.safety.commands.domain import UNKNOWN_WORD, CommandClass, Leaf, Word, strictest
from appliance.safety.commands.environment import dangerous, harmless
from appliance.safety.commands.expansion import Values, expand, expand_whole
from appliance.safety.commands.judge import judge
from appliance.safety.commands.places import is_device, is_secret, moved, written
from appliance.safety.commands.script import (
    Calculation,
    Loop,
    Node,
    Pattern,
    Redirect,
    Refused,
    Sequence,
    Simple,
)

MOST_LEAVES = 64
_MOST_ROUNDS = 16
_MOST_WORDS = 4096


@dataclass(frozen=True, slots=True)
class TooMuch(Exception):
    """There are more leaves than anybody reviews."""


def leaves_of(node: Node, values: Values, around: Around) -> list[Leaf]:
    """The leaves of a script; one unknown leaf more where there are too many."""
    walk = _Walk(values, around)
    try:
        walk.visit(node)
    except TooMuch:
        walk.leaves.append(unknown((), f"has more than {MOST_LEAVES} commands: nobody can review it"))
    return walk.leaves


def unknown(argv: tuple[str, ...], reason: str, wrappers: tuple[str, ...] = ()) -> Leaf:
    said = reason if argv else f"the command {reason}"
    return Leaf(argv, argv[0] if argv else "", CommandClass.UNKNOWN, said, wrappers, repeatable=False)


class _Walk:
    def __init__(self, values: Values, around: Around) -> None:
        self.values, self.around = values, around
        self.leaves: list[Leaf] = []

    def visit(self, node: Node) -> None:
        if isinstance(node, Refused):
            self._add(unknown((), node.reason))
        elif isinstance(node, Calculation):
            if self.around.dialect == "bash":
                self._add(unknown((), node.reason))
        elif isinstance(node, Sequence):
            self._sequence(node)
        elif isinstance(node, Loop):
            self._loop(node)
        else:
            self._simple(node)

    def _add(self, *leaves: Leaf) -> None:
        self.leaves += leaves
        if len(self.leaves) > MOST_LEAVES:
            raise TooMuch

    def _sequence(self, node: Sequence) -> None:
        if not node.straight:
            self.values.forget(node.assigned)
        for inner in node.nodes:
            self.visit(inner)
            if not node.straight:
                self.values.forget(node.assigned)
        self._redirects(node.redirects)

    def _redirects(self, redirects: tuple[Redirect, ...]) -> None:
        """Of a group: a leaf of its own."""
        kind, reasons, files, repeatable = self._opened(redirects)
        if reasons:
            self._add(
                Leaf((), "", kind, "; ".join(reasons), self.around.wrappers, files, repeatable=repeatable)
            )

    def _loop(self, node: Loop) -> None:
        for pattern in node.words:
            self._inner(pattern)
        words = [word for pattern in node.words for word in expand(pattern, self.values)]
        if dangerous(node.name):
            self._add(unknown((), f"sets {node.name}, which decides what programs load"))
        self.values.forget(node.assigned)
        rounds = words if len(words) <= _MOST_ROUNDS else [UNKNOWN_WORD]
        for word in rounds or [UNKNOWN_WORD]:
            self.values.set(node.name, replace(word, many=False) if word.text else UNKNOWN_WORD)
            self.visit(node.body)
            self.values.forget(node.assigned)

    def _inner(self, pattern: Pattern) -> None:
        for node in pattern.inner:
            self.visit(node)

    def _simple(self, node: Simple) -> None:
        for _, pattern in node.assignments:
            self._inner(pattern)
        for pattern in node.words:
            self._inner(pattern)
        kept = dangerous if not node.words else _not_harmless
        bad = next((name for name, _ in node.assignments if kept(name)), None)
        if bad:
            self._add(unknown((), f"sets {bad}, which may decide what programs load"))
        words = self._words(node)
        kind, reasons, files, repeatable = self._opened(node.redirects)
        if node.words:
            found = judge(words, self.around)
            if any(leaf.program == "cd" for leaf in found):
                target = words[-1] if len(words) > 1 else UNKNOWN_WORD
                self.around = replace(self.around, folders=moved(self.around.folders, target))
            self.values.forget(frozenset(name for name, _ in node.assignments))
        else:
            found = self._assign(node)
        for leaf in found:
            if reasons:
                leaf = _with_files(leaf, kind, reasons, files, repeatable=repeatable)
            self._add(leaf)
        if reasons and not found:
            self._redirects(node.redirects)

    def _words(self, node: Simple) -> list[Word]:
        words: list[Word] = []
        for pattern in node.words:
            words += expand(pattern, self.values)
        return words[:_MOST_WORDS] if len(words) <= _MOST_WORDS else [UNKNOWN_WORD]

    def _assign(self, node: Simple) -> list[Leaf]:
        for name, pattern in node.assignments:
            self.values.set(name, expand_whole(pattern, self.values))
        if not node.assignments:
            return []
        names = ", ".join(name for name, _ in node.assignments)
        return [Leaf((), "", CommandClass.READ, f"sets {names} for this script", self.around.wrappers)]

    def _opened(
        self, redirects: tuple[Redirect, ...]
    ) -> tuple[CommandClass, list[str], tuple[str, ...], bool]:
        """The class of what redirections open, sentences on it, the files written, whether it is repeatable."""
        kinds, reasons, files, repeatable = [], [], [], True
        for redirect in redirects:
            self._inner(redirect.target)
            word = expand_whole(redirect.target, self.values)
            repeatable = repeatable and not is_device(word)
            if redirect.operator == "<":
                if is_secret(word, self.around.folders):
                    kinds.append(CommandClass.UNKNOWN)
                    reasons.append(f"`< {word.shown}` reads a secret")
                continue
            kind, said = written(word, self.around.folders)
            if kind is CommandClass.READ:
                continue
            kinds.append(kind)
            files.append(word.shown)
            reasons.append(f"`{redirect.operator} {word.shown}` writes {said}")
        return strictest(kinds), reasons, tuple(files), repeatable


def _not_harmless(name: str) -> bool:
    """A program gets it: only variables that are known to do nothing to it may be set."""
    return not harmless(name)


def _with_files(
    leaf: Leaf, kind: CommandClass, reasons: list[str], files: tuple[str, ...], *, repeatable: bool
) -> Leaf:
    """The leaf with what its redirections do: the stricter class with its own sentence."""
    said = list(_stricter(leaf, kind, reasons))
    return replace(
        leaf,
        kind=strictest((leaf.kind, kind)),
        reason="; ".join(said),
        writes=(*leaf.writes, *files),
        repeatable=leaf.repeatable and repeatable,
    )


def _stricter(leaf: Leaf, kind: CommandClass, reasons: list[str]) -> Iterator[str]:
    if leaf.kind.rank >= kind.rank:
        yield leaf.reason
    if kind.rank >= leaf.kind.rank:
        yield from reasons
