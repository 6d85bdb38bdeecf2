"""Patterns over one text: ``*`` is any run of characters, ``?`` one character, all else stands for itself.

No regular expressions: whatever the text, a match takes time in proportion to it, and whether one pattern
takes all that another takes can be told from the two alone.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Glob:
    """One pattern, ready to match."""

    text: str
    literal: bool = field(init=False)
    """Whether it matches exactly one text, its own."""
    _parts: tuple["str | re.Pattern[str]", ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "literal", "*" not in self.text and "?" not in self.text)
        object.__setattr__(self, "_parts", tuple(_part(piece) for piece in self.text.split("*")))

    def matches(self, text: str) -> bool:
        """Leftmost fit of each piece between two ``*``: pieces have a fixed length, so it is the best one."""
        if self.literal:
            return text == self.text
        first, *middle = self._parts
        if not middle:
            return len(text) == len(self.text) and _at(first, text, 0) is not None
        at = _at(first, text, 0)
        if at is None:
            return False
        last = middle.pop()
        tail = len(self.text) - self.text.rfind("*") - 1
        for piece in middle:
            at = _find(piece, text, at)
            if at is None:
                return False
        return len(text) - tail >= at and _at(last, text, len(text) - tail) is not None


def matcher(text: str) -> Callable[[str], bool]:
    """``Glob(text).matches``, by one operation where the pattern is one of the common ones."""
    pieces = text.split("*")
    if "?" in text or len(pieces) > 3:
        return Glob(text).matches
    match pieces:
        case [whole]:
            return lambda given: given == whole
        case [beginning, ""]:
            return lambda given: given.startswith(beginning)
        case ["", ending]:
            return lambda given: given.endswith(ending)
        case ["", inside, ""]:
            return lambda given: inside in given
    return Glob(text).matches


def _part(piece: str) -> "str | re.Pattern[str]":
    if "?" not in piece:
        return piece
    return re.compile("".join("." if char == "?" else re.escape(char) for char in piece), re.DOTALL)


def _at(piece: "str | re.Pattern[str]", text: str, at: int) -> int | None:
    """The end of ``piece`` standing at ``at``, or None."""
    if isinstance(piece, str):
        return at + len(piece) if text.startswith(piece, at) else None
    found = piece.match(text, at)
    return found.end() if found else None


def _find(piece: "str | re.Pattern[str]", text: str, at: int) -> int | None:
    """The end of the first ``piece`` from ``at`` on, or None."""
    if isinstance(piece, str):
        found = text.find(piece, at)
        return None if found < 0 else found + len(piece)
    hit = piece.search(text, at)
    return hit.end() if hit else None


def covers(wide: str, narrow: str) -> bool:
    """Whether every text that ``narrow`` matches is matched by ``wide``. Never wrongly True.

    ``narrow`` is read as a text in which ``*`` and ``?`` are characters of their own: only a ``*`` of ``wide``
    takes a ``*``, only ``*`` and ``?`` take a ``?``.
    """
    states = {0}
    states |= _past_stars(wide, states)
    for char in narrow:
        following = set()
        for state in states:
            if state == len(wide):
                continue
            sign = wide[state]
            if sign == "*":
                following.add(state)
            elif sign == char or (sign == "?" and char != "*"):
                following.add(state + 1)
        states = following | _past_stars(wide, following)
    return len(wide) in states


def _past_stars(wide: str, states: set[int]) -> set[int]:
    """A ``*`` may also take nothing."""
    found = set()
    for state in states:
        at = state
        while at < len(wide) and wide[at] == "*":
            at += 1
            found.add(at)
    return found


def sample(text: str) -> str:
    """One text that the pattern matches."""
    return text.replace("*", "").replace("?", "x") or "x"


def tidy(text: str) -> str:
    """The pattern without repeated ``*``."""
    kept = [after for before, after in pairwise(" " + text) if not (before == after == "*")]
    return "".join(kept)
