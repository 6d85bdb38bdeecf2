"""Reads the plain part of POSIX shell: words, quotes, pipes and lists. Everything else is UnreadableError.

This is not a shell parser. It exists to recognise commands that are certainly simple.
"""

import re
from dataclasses import dataclass
from typing import Literal

from appliance.lib.errors import MillwrightError

Operator = Literal["|", "&&", "||", ";", ""]

_LONGEST = 16 * 1024
_TEMPLATE = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_PARAMETER = re.compile(r"\$(?:[0-9@*#?]|[A-Za-z_]\w*)")
_REDIRECT = re.compile(r"(\d?)(>>|>\||<<|<>|>&|<&|>|<)[ \t]*")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_OPERATOR = re.compile(r"\|\||&&|;|\n|\|(?!&)")
_BLANK = " \t\r"
_THEN: dict[str, Operator] = {"|": "|", "&&": "&&", "||": "||", ";": ";", "\n": ";", "": ""}
_JOINING = ("|", "&&", "||")


class UnreadableError(MillwrightError):
    """The text uses more of the shell than this reader understands."""

    code = "shell.unreadable"


@dataclass(frozen=True, slots=True)
class Word:
    """One word after quote removal. ``unknown``: part of it is only known when it runs (a value or a glob).

    ``expands``: it runs a command or changes a variable while it is expanded.
    """

    text: str
    unknown: bool = False
    expands: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """One simple command, and the operator that follows it."""

    words: tuple[Word, ...]
    words_before: int
    """How many words are assignments before the command's name."""
    writes_files: bool
    then: Operator

    @property
    def name(self) -> str:
        """The command's name without ``/bin/``; empty when it is not known."""
        if len(self.words) <= self.words_before:
            return ""
        word = self.words[self.words_before]
        if word.unknown or word.expands:
            return ""
        return re.sub(r"^(?:/usr)?/bin/", "", word.text)

    @property
    def arguments(self) -> tuple[Word, ...]:
        return self.words[self.words_before + 1 :]


def read_commands(script: str) -> list[Command]:
    """The simple commands of ``script`` in order; raises UnreadableError."""
    if len(script) > _LONGEST:
        raise UnreadableError("the command is too long to be judged")
    return _Reader(script).commands()


class _Reader:
    def __init__(self, text: str) -> None:
        self._continued = "\\\n" in text
        self.text = text.replace("\\\n", "")
        self.at = 0

    def commands(self) -> list[Command]:
        found: list[Command] = []
        words: list[Word] = []
        writes = False
        while self._skip_blank():
            operator = _OPERATOR.match(self.text, self.at)
            redirect = _REDIRECT.match(self.text, self.at)
            if operator:
                self.at = operator.end()
                self._finish(found, words, writes, operator.group())
                words, writes = [], False
            elif redirect:
                writes = self._redirect(redirect) or writes
            else:
                words.append(self._word())
        self._finish(found, words, writes, "")
        return found

    def _finish(self, found: list[Command], words: list[Word], writes: bool, operator: str) -> None:
        then = _THEN[operator]
        if words:
            before = 0
            while before < len(words) and _ASSIGNMENT.match(words[before].text):
                before += 1
            found.append(Command(tuple(words), before, writes, then))
        elif writes or then in _JOINING:
            raise UnreadableError("an operator or a redirection without a command")
        elif operator == "" and found and found[-1].then in _JOINING:
            raise UnreadableError("an operator without a command after it")

    def _skip_blank(self) -> bool:
        """Move to the next token; False at the end. A comment ends at its line."""
        while self.at < len(self.text):
            if self.text[self.at] in _BLANK:
                self.at += 1
            elif self.text[self.at] == "#":
                if self._continued:
                    # sh joins no lines inside a comment: what was joined here may be a command of its own.
                    raise UnreadableError("a comment beside a continued line")
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            else:
                return True
        return False

    def _redirect(self, match: re.Match[str]) -> bool:
        """Whether this redirection touches a file."""
        kind = match.group(2)
        if kind == "<<":
            raise UnreadableError("a here-document")
        self.at = match.end()
        target = self._word()
        if kind in (">&", "<&"):
            return target.unknown or target.expands or not re.fullmatch(r"[0-9-]", target.text)
        return target.unknown or target.expands or target.text != "/dev/null"

    def _word(self) -> Word:
        start, text, unknown, expands = self.at, "", False, False
        while self.at < len(self.text):
            char = self.text[self.at]
            if char in " \t\r\n|&;<>()":
                break
            piece, known, pure = self._piece(char)
            text += piece
            unknown = unknown or not known
            expands = expands or not pure
        if self.at == start:
            raise UnreadableError(f"{self.text[start : start + 1]!r} is more than a simple command")
        return Word(text, unknown, expands)

    def _piece(self, char: str) -> tuple[str, bool, bool]:
        """The next piece of a word: its text, whether that is all, whether expanding it changes nothing."""
        if char == "'":
            return self._single_quoted()
        if char == '"':
            return self._double_quoted()
        if char in "$`{":
            special = self._special(char)
            if special:
                return special
        if char == "\\":
            piece = self.text[self.at + 1 : self.at + 2]
            self.at += 2
            return piece, True, True
        self.at += 1
        return char, char not in "*?[" or self._is_test_bracket(char), True

    def _is_test_bracket(self, char: str) -> bool:
        """``[`` alone is the command test, not a pattern."""
        before, after = self.text[: self.at - 1][-1:], self.text[self.at : self.at + 1]
        return char == "[" and before in ("", *" \t\n;|&") and after in ("", *" \t\n")

    def _single_quoted(self) -> tuple[str, bool, bool]:
        """Literal text, but a template in it is still a value (and may hold quotes of its own)."""
        text, known = "", True
        self.at += 1
        while self.at < len(self.text):
            template = _TEMPLATE.match(self.text, self.at)
            if template:
                self.at, known = template.end(), False
                continue
            char = self.text[self.at]
            self.at += 1
            if char == "'":
                return text, known, True
            text += char
        raise UnreadableError("a quote that is not closed")

    def _double_quoted(self) -> tuple[str, bool, bool]:
        text, known, pure = "", True, True
        self.at += 1
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == '"':
                self.at += 1
                return text, known, pure
            special = self._special(char) if char in "$`{" else None
            if special:
                text, known, pure = text + special[0], known and special[1], pure and special[2]
            elif char == "\\" and self.text[self.at + 1 : self.at + 2] in ("$", "`", '"', "\\"):
                text += self.text[self.at + 1]
                self.at += 2
            else:
                text += char
                self.at += 1
        raise UnreadableError("a quote that is not closed")

    def _special(self, char: str) -> tuple[str, bool, bool] | None:
        """A template, a parameter or a substitution at this place; None for a plain character."""
        if char == "{":
            template = _TEMPLATE.match(self.text, self.at)
            if template:
                self.at = template.end()
                return "", False, True
            return None
        if char == "`":
            end = self.text.find("`", self.at + 1)
            if end < 0:
                raise UnreadableError("a backquote that is not closed")
            self.at = end + 1
            return "", False, False
        parameter = _PARAMETER.match(self.text, self.at)
        if parameter:
            self.at = parameter.end()
            return "", False, True
        closing = {"(": ")", "{": "}"}.get(self.text[self.at + 1 : self.at + 2])
        if closing:
            self._skip_nested(closing)
            return "", False, False
        return None

    def _skip_nested(self, closing: str) -> None:
        """Past ``$( … )`` or ``${ … }``. Quotes inside are too much for this reader."""
        opening = "(" if closing == ")" else "{"
        depth, self.at = 1, self.at + 2
        while depth:
            char = self.text[self.at : self.at + 1]
            if not char or char in "'\"`\\#":
                raise UnreadableError("a substitution with quotes in it")
            depth += (char == opening) - (char == closing)
            self.at += 1
