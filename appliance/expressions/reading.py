"""Where the blocks of a text are: found by our own scan, and checked before any parser sees them.

Jinja2's nodes carry no column, so every offset in a message to a person begins here.
"""

import re
from dataclasses import dataclass

from appliance.expressions.errors import ExpressionError
from appliance.expressions.limits import (
    DEEPEST_BRACKETS,
    LONGEST_EXPRESSION,
    LONGEST_SOURCE,
    MOST_BLOCKS,
)
from appliance.lib.said import say

_TEXTS = r"""'[^'\\]*(?:\\.[^'\\]*)*'|"[^"\\]*(?:\\.[^"\\]*)*\""""
_OPEN = re.compile(r"\{\{|\{%")
_OPEN_VALUE = re.compile(r"\{\{")
_TAG_HERE = re.compile(r"\{%[-+]?\s*(?:if|elif|else|endif|for|endfor|set|raw|macro|include|block)\b")
_MARKS = {
    "{{": re.compile(rf"{_TEXTS}|['\"()\[\]{{}}]", re.DOTALL),
    "{%": re.compile(rf"{_TEXTS}|%\}}|['\"()\[\]{{}}]", re.DOTALL),
}
_CLOSE = {"{{": "}}", "{%": "%}"}
_OPENING = {")": "(", "]": "[", "}": "{"}


@dataclass(frozen=True, slots=True)
class Block:
    """One ``{{ }}`` or ``{% %}``: where it starts, where the text after it does, and what is inside."""

    kind: str
    start: int
    end: int
    inner: str

    @property
    def trims_before(self) -> bool:
        """``{{-`` drops the white space before the block."""
        return self.inner.startswith("-")

    @property
    def trims_after(self) -> bool:
        """``-}}`` drops the white space after the block."""
        return self.inner.endswith("-")

    @property
    def code(self) -> str:
        """What is inside, without the marks of white-space control."""
        return self.inner[self._signs : len(self.inner) - self.trims_after]

    @property
    def at(self) -> int:
        """Where ``code`` starts in the text."""
        return self.start + 2 + self._signs

    @property
    def _signs(self) -> int:
        return 1 if self.inner[:1] in ("-", "+") else 0


def blocks_of(text: str, *, tags: bool = True) -> list[Block]:
    """Every block in order. Raises ExpressionError where one is not closed, too long or too deep.

    Without ``tags`` only ``{{ }}`` counts, for texts in which ``{%`` means something else (``date +{%F}``).
    """
    if len(text) > LONGEST_SOURCE:
        raise ExpressionError(
            say(
                "a text with expressions has at most %(longest_source)s characters, this has %(count)s",
                longest_source=LONGEST_SOURCE,
                count=len(text),
            ),
            0,
        )
    found: list[Block] = []
    at = 0
    if not tags and (tag := _TAG_HERE.search(text)) is not None:
        raise ExpressionError(say("{% %} is allowed in message texts only"), tag.start())
    opening = _OPEN if tags else _OPEN_VALUE
    while (opened := opening.search(text, at)) is not None:
        block = _block(text, opened.group(), opened.start())
        found.append(block)
        if len(found) > MOST_BLOCKS:
            raise ExpressionError(
                say("a text has at most %(most_blocks)s expressions", most_blocks=MOST_BLOCKS), opened.start()
            )
        at = block.end
    return found


def _block(text: str, kind: str, start: int) -> Block:
    end = _end(text, kind, start)
    inner = text[start + 2 : end]
    # Jinja reads {{-5}} as "trim, then 5": nobody who writes a setpoint means that.
    if kind == "{{" and inner[:1] in ("-", "+") and not inner[1:2].isspace() and inner[1:]:
        sign = inner[0]
        raise ExpressionError(
            say("{{%(sign)s could be a sign or white-space control", sign=sign),
            start,
            hint=say("put a blank after {{"),
        )
    return Block(kind, start, end + 2, inner)


def _end(text: str, kind: str, start: int) -> int:
    """Where the closing mark is: outside of texts, and outside of brackets."""
    close, limit = _CLOSE[kind], start + 2 + LONGEST_EXPRESSION
    opened: list[tuple[str, int]] = []
    for match in _MARKS[kind].finditer(text, start + 2, limit + 2):
        mark, at = match.group(), match.start()
        if mark in "([{":
            opened.append((mark, at))
            if len(opened) > DEEPEST_BRACKETS:
                raise ExpressionError(
                    say(
                        "nested deeper than %(deepest_brackets)s brackets", deepest_brackets=DEEPEST_BRACKETS
                    ),
                    at,
                )
        elif mark == close or (not opened and text.startswith(close, at)):
            if opened:
                raise ExpressionError(say("%(mark)s is not closed", mark=opened[-1][0]), opened[-1][1])
            return at
        elif mark in _OPENING:
            if not opened:
                raise ExpressionError(say("%(mark)s closes nothing", mark=mark), at)
            bracket, place = opened.pop()
            if bracket != _OPENING[mark]:
                raise ExpressionError(say("%(mark)s is not closed", mark=bracket), place)
        elif len(mark) == 1 and len(text) <= limit:
            raise ExpressionError(say("the text after %(mark)s is not closed", mark=mark), at)
    if len(text) > limit:
        raise ExpressionError(
            say(
                "%(kind)s is not closed by %(close)s within %(longest_expression)s characters",
                kind=kind,
                close=close,
                longest_expression=LONGEST_EXPRESSION,
            ),
            start,
        )
    raise ExpressionError(say("%(kind)s is not closed by %(close)s", kind=kind, close=close), start)
