"""The source under the nodes: places for people, and the proof that nothing lies between two nodes."""

import re
from typing import Any

from appliance.lib.errors import MillwrightError
from appliance.safety.commands.environment import is_name
from appliance.safety.patterns import LONGEST

__all__ = ["LONGEST", "Reading", "Unreadable"]
_BLANK = re.compile(rb"(?:[ \t]|\\\n)*")
_BLANK_LINES = re.compile(rb"(?:[ \t\n]|\\\n)*")
_ACROSS_LINES = frozenset(
    {"program", "list", "pipeline", "subshell", "compound_statement", "do_group", "if_statement", "elif_clause",
     "else_clause", "while_statement", "for_statement", "case_statement", "case_item", "command_substitution",
     "redirected_statement"}
)  # fmt: skip


class Unreadable(MillwrightError):
    """The sentence goes on after "the command"."""

    code = "commands.unreadable"


def _glued(before: Any, child: Any) -> bool:
    """Whether nothing parts two nodes that the grammar takes for two words. A redirection may follow at once."""
    if not (before.is_named and child.is_named):
        return False
    if child.type == "heredoc_redirect":
        return False
    return bool(child.type != "file_redirect" or child.children[0].type == "file_descriptor")


class Reading:
    """One text while it is read."""

    __slots__ = ("source",)

    def __init__(self, source: bytes) -> None:
        self.source = source

    def place(self, node: Any) -> str:
        row, column = node.start_point
        return f"line {row + 1}, column {column + 1}"

    def refused(self, node: Any, reason: str) -> Unreadable:
        return Unreadable(f"{reason} ({self.place(node)})")

    def gaps(self, node: Any, *, tight: bool = False, whole: bool = False) -> None:
        """Between the children of ``node`` there are blanks only; nothing at all where ``tight``. Else Unreadable.

        ``whole``: before the first and after the last as well, to the ends of the source.
        """
        blank = _BLANK_LINES if node.type in _ACROSS_LINES else _BLANK
        at = 0 if whole else node.start_byte
        before = None
        for child in node.children:
            between = self.source[at : child.start_byte]
            if before is not None and not (between or tight) and _glued(before, child):
                raise self.refused(child, "has words that sh reads as one")
            if between and (tight or not blank.fullmatch(between)):
                raise self.refused(child, "has something before it that sh reads differently")
            at, before = child.end_byte, child
        rest = self.source[at:] if whole else self.source[at : node.end_byte]
        if rest and node.children and not blank.fullmatch(rest):
            raise self.refused(node, "has an end that sh reads differently")

    def comment(self, node: Any) -> None:
        """A comment begins a word, and nothing in it reaches over its line."""
        before = self.source[node.start_byte - 1 : node.start_byte]
        if before not in (b"", b" ", b"\t", b"\n", b";", b"&", b"|", b"(", b")") or b"\n" in node.text:
            raise self.refused(node, "has a comment that sh may not see as one")
        if self.source[: node.start_byte].endswith(b"\\\n") or node.text.endswith(b"\\"):
            raise self.refused(node, "has a comment beside a continued line")

    def name(self, node: Any) -> str:
        """The variable's name. Unreadable for what is none in sh (an element of an array)."""
        text: str = node.text.decode()
        if not is_name(text):
            raise self.refused(node, "has a variable that sh reads differently")
        return text
