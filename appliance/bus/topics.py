"""Which topics exist, which pattern matches which: the vocabulary of the bus.

A *pattern* is a filter in which a level may carry a name: ``plant/{line}/pump/{pump}/temp`` subscribes to
``plant/+/pump/+/temp`` and gives the two levels back by name.
"""

import re
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from appliance.bus.errors import TopicRefused
from appliance.bus.filters import (
    MAX_LEVELS,
    MAX_TOPIC_BYTES,
    check_filter,
    check_topic,
    common_cover,
    covers,
    is_exact,
    minimal_cover,
    overlaps,
)
from appliance.lib.said import say

__all__ = [
    "MAX_LEVELS",
    "MAX_TOPIC_BYTES",
    "Pattern",
    "TopicTable",
    "check_filter",
    "check_topic",
    "common_cover",
    "covers",
    "is_exact",
    "matches",
    "minimal_cover",
    "overlaps",
    "parse_pattern",
]

T = TypeVar("T", bound=Hashable)

_CAPTURE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_CACHED_TOPICS = 4096


@dataclass(frozen=True, slots=True)
class Pattern:
    """A filter and the levels it captures: ``(name, level index)``.

    Where nothing is named, as in a plain filter, each ``+`` is captured under its number: ``"1"``, ``"2"``.
    """

    text: str
    filter: str
    captures: tuple[tuple[str, int], ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.captures)

    def captured(self, levels: list[str]) -> tuple[str, ...]:
        """What stood for each name, in the order of ``names``."""
        return tuple(levels[index] for _, index in self.captures)


def parse_pattern(text: str) -> Pattern:
    """The pattern written as ``text``. Raises TopicRefused: a bad filter, a bad or repeated name."""
    captures: list[tuple[str, int]] = []
    levels = text.split("/")
    for index, level in enumerate(levels):
        named = _CAPTURE.fullmatch(level)
        if named:
            if named[1] in {name for name, _ in captures}:
                raise TopicRefused(
                    say("pattern %(text)r names {%(named)s} twice", text=text, named=named[1]),
                    hint=say("use two names"),
                )
            captures.append((named[1], index))
            levels[index] = "+"
        elif "{" in level or "}" in level:
            raise TopicRefused(
                say("pattern %(text)r: %(level)r is not a whole level in braces", text=text, level=level),
                hint=say("a capture is one whole level, as in plant/{line}/temp"),
            )
    if not captures:
        wild = [index for index, level in enumerate(levels) if level == "+"]
        captures = [(str(number), index) for number, index in enumerate(wild, start=1)]
    return Pattern(text, check_filter("/".join(levels)), tuple(captures))


def matches(filter_: str, topic: str) -> bool:
    """Whether ``filter_`` matches ``topic`` (MQTT 3.1.1, 4.7)."""
    return covers(filter_, topic)


class _Node(Generic[T]):
    __slots__ = ("here", "next", "rest")

    def __init__(self) -> None:
        self.next: dict[str, _Node[T]] = {}
        self.here: dict[tuple[Pattern, T], None] = {}
        """Patterns that end at this level."""
        self.rest: dict[tuple[Pattern, T], None] = {}
        """Patterns whose ``#`` begins below this level."""

    def is_empty(self) -> bool:
        return not (self.next or self.here or self.rest)


class TopicTable(Generic[T]):
    """Values found by topic. A look-up costs the depth of the topic, not the number of patterns.

    ``add`` and ``remove`` take a pattern or its text; the same value may stand under many patterns, and one
    pattern may carry many values. Not thread-safe.
    """

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()
        self._size = 0
        self._found: dict[str, tuple[tuple[T, tuple[str, ...]], ...]] = {}

    def __len__(self) -> int:
        return self._size

    def add(self, pattern: Pattern | str, value: T) -> None:
        """Put ``value`` under ``pattern``; adding the same pair again changes nothing."""
        parsed = parse_pattern(pattern) if isinstance(pattern, str) else pattern
        node, bucket = self._root, "here"
        for level in parsed.filter.split("/"):
            if level == "#":
                bucket = "rest"
            else:
                node = node.next.setdefault(level, _Node())
        entries: dict[tuple[Pattern, T], None] = getattr(node, bucket)
        self._size += (parsed, value) not in entries
        entries[(parsed, value)] = None
        self._found.clear()

    def remove(self, pattern: Pattern | str, value: T) -> bool:
        """Take ``value`` from under ``pattern``; False if it was not there."""
        parsed = parse_pattern(pattern) if isinstance(pattern, str) else pattern
        path: list[tuple[_Node[T], str]] = []
        node, bucket = self._root, "here"
        for level in parsed.filter.split("/"):
            if level == "#":
                bucket = "rest"
                continue
            path.append((node, level))
            following = node.next.get(level)
            if following is None:
                return False
            node = following
        entries: dict[tuple[Pattern, T], None] = getattr(node, bucket)
        if (parsed, value) not in entries:
            return False
        del entries[(parsed, value)]
        self._size -= 1
        self._found.clear()
        for parent, level in reversed(path):
            if parent.next[level].is_empty():
                del parent.next[level]
        return True

    def match(self, topic: str) -> tuple[tuple[T, tuple[str, ...]], ...]:
        """Every value whose pattern matches ``topic``, with what stood for the pattern's names."""
        found = self._found.get(topic)
        if found is None:
            found = self._search(topic)
            if len(self._found) >= _CACHED_TOPICS:
                self._found.clear()
            self._found[topic] = found
        return found

    def _search(self, topic: str) -> tuple[tuple[T, tuple[str, ...]], ...]:
        levels = topic.split("/")
        entries: dict[tuple[Pattern, T], None] = {}
        nodes = [self._root]
        for index, level in enumerate(levels):
            wild = index > 0 or not topic.startswith("$")
            following: list[_Node[T]] = []
            for node in nodes:
                if wild:
                    entries |= node.rest
                    if "+" in node.next:
                        following.append(node.next["+"])
                if level in node.next and level != "+":
                    following.append(node.next[level])
            nodes = following
        for node in nodes:
            entries |= node.here
            entries |= node.rest  # `a/#` also matches `a`
        return tuple((value, pattern.captured(levels)) for pattern, value in entries)
