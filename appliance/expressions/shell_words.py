"""What the shell scan remembers: simple commands, their words, and which of them hold a value."""

import re
from dataclasses import dataclass, field

_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=")
_RESERVED = frozenset({"then", "do", "else", "elif", "if", "while", "until", "!", "{", "}", "time"})


@dataclass(slots=True)
class Word:
    """A word after quote removal; a value stands in it as nothing."""

    text: str = ""
    at: int = 0
    holds_value: bool = False
    quoted: bool = False
    assigns: bool = False
    """It starts with ``NAME=`` written by the author."""

    def add(self, text: str, *, quoted: bool = False) -> None:
        self.text += text
        self.quoted = self.quoted or quoted
        if not self.quoted and not self.holds_value and text == "=":
            self.assigns = self.assigns or _ASSIGNMENT.fullmatch(self.text) is not None


@dataclass(slots=True)
class Command:
    """One simple command. ``words`` are without assignments, reserved words and redirections."""

    words: list[Word] = field(default_factory=list)

    @property
    def holds_value(self) -> bool:
        return any(word.holds_value for word in self.words)

    @property
    def name(self) -> str:
        """The program's name without its folder; empty where the text does not say it."""
        return self.words[0].text.rpartition("/")[2] if self.words else ""

    def add(self, word: Word) -> None:
        leading = not self.words and not word.quoted and (word.assigns or word.text in _RESERVED)
        if not leading or (word.holds_value and not word.assigns):
            self.words.append(word)
