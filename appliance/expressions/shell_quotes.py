"""Follows the quote state of POSIX shell text (XCU 2.2, 2.3) from value to value.

It knows where it is, or it says that it does not: what it cannot follow surely makes every later place
uncertain, and a value at an uncertain place is refused.
"""

import re
from dataclasses import dataclass, field

from appliance.expressions.errors import ExpressionError
from appliance.expressions.reading import Block
from appliance.expressions.shell_words import Command, Word
from appliance.lib.said import say

SUGGESTION = say('use the form without a shell: args: [program, "{{ value }}"]')

_BACKQUOTED = re.compile(r"`[^`'\"\\$#<{}()]*`")
_ARITHMETIC = re.compile(r"\$\(\((?:\$[A-Za-z_]\w*|[\w\s+\-*/%<>=!&|^~?:,])*\)\)")
_PARAMETER = re.compile(r"\$\{#?([A-Za-z_]\w*|[?$!-])(?:(?::?[-+=?]|##?|%%?)[^\s'\"\\`$(){}]*)?\}")
_POSITIONAL = re.compile(r"\$(?:[1-9@*#]|\{[#!]?[1-9@*]|\{#\})")
_FUNCTION = re.compile(r"\(\s*\)")
_AGAIN = re.compile(r"\b(?:eval|alias|shift|set|getopts)\b")
_OPERATORS = ";&|\n()"


@dataclass(slots=True)
class _Frame:
    """One level of ``$( )``: the state outside of it, and the parentheses open inside."""

    quote: str
    command: Command
    word: Word | None
    depth: int = 0


@dataclass(slots=True)
class Scan:
    """What a scan found: the quote around each block (none, ' or "), and the simple commands."""

    quotes: list[str] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)


def scan(text: str, blocks: list[Block]) -> Scan:
    """Scan ``text``. Raises ExpressionError at the first block that stands at no certain place."""
    scanner = _Scanner(text, blocks)
    scanner.run()
    return scanner.found


class _Scanner:
    def __init__(self, text: str, blocks: list[Block]) -> None:
        self.found = Scan()
        self._text = text
        self._blocks = blocks
        self._at = 0
        self._quote = ""
        self._lost = ""
        self._redirects = False
        self._frames: list[_Frame] = []
        self._command = Command()
        self._word: Word | None = None

    def run(self) -> None:
        while self._at < len(self._text) and not self._lost:
            block = self._next_block()
            if block is not None and block.start == self._at:
                self._value(block)
            elif self._quote == "'":
                self._in_single_quotes()
            else:
                self._step(self._text[self._at])
        if self._lost:
            self._give_up()
        elif self._quote or self._frames:
            raise ExpressionError(
                say("%(mark)s is not closed", mark=self._quote or "$("), self._next_place(), hint=SUGGESTION
            )
        self._end_command()

    def _next_block(self) -> Block | None:
        done = len(self.found.quotes)
        return self._blocks[done] if done < len(self._blocks) else None

    def _next_place(self) -> int:
        """Where to point to: the next value, else the last one."""
        return (self._next_block() or self._blocks[-1]).start

    # --- values ---------------------------------------------------------------------------------------

    def _value(self, block: Block) -> None:
        if self._frames:
            raise _refused(say("inside $( )"), block.start)
        if self._quote != "'" and self._text[self._at - 1 : self._at] == "$":
            raise _refused(say("directly after a $"), block.start)
        self.found.quotes.append(self._quote)
        self._part("", quoted=bool(self._quote))
        assert self._word is not None
        self._word.holds_value = True
        self._at = block.end

    def _give_up(self) -> None:
        """The rest of the text is not understood: no value may follow, and nothing that would meet one."""
        block = self._next_block()
        if block is not None:
            raise _refused(say("after or inside %(lost)s", lost=self._lost), block.start)
        rest = self._text[self._at :]
        if _POSITIONAL.search(rest) or _AGAIN.search(rest):
            raise _refused(
                say("together with %(lost)s in which $1, set, shift or eval is used", lost=self._lost),
                self._next_place(),
            )

    # --- one character --------------------------------------------------------------------------------

    def _in_single_quotes(self) -> None:
        block, end = self._next_block(), self._text.find("'", self._at)
        if block is not None and (end < 0 or block.start < end):
            end = block.start
        elif end < 0:
            raise ExpressionError(say("' is not closed"), self._next_place(), hint=SUGGESTION)
        else:
            self._quote = ""
        self._part(self._text[self._at : end], quoted=True)
        self._at = end + (self._quote == "")

    def _step(self, character: str) -> None:
        if character == "\\":
            self._backslash()
        elif character == "`":
            self._skip(_BACKQUOTED, "backquotes")
        elif character == "$":
            self._dollar()
        elif self._quote == '"':
            if character == '"':
                self._quote = ""
            self._part("" if character == '"' else character, quoted=True)
            self._at += 1
        else:
            self._bare(character)

    def _backslash(self) -> None:
        following = self._text[self._at + 1 : self._at + 2]
        block = self._next_block()
        if block is not None and block.start == self._at + 1:
            raise _refused(say("directly after a backslash"), block.start)
        if following == "\n":
            # The shell drops both before it looks for $( and <<: so what stands around them may be one word.
            if self._text[self._at - 1 : self._at] in ("$", "<", "("):
                self._lost = "an operator that is broken over two lines"
        else:
            self._part(following, quoted=True)
        self._at += 2

    def _dollar(self) -> None:
        text, at = self._text, self._at
        following = text[at + 1 : at + 2]
        if _POSITIONAL.match(text, at):
            raise ExpressionError(
                say("values are passed as $1, $2, …: the command cannot use these itself"),
                at,
                hint=SUGGESTION,
            )
        if text.startswith("$((", at):
            self._skip(_ARITHMETIC, "$(( ))")
        elif following == "(":
            self._part("")
            self._frames.append(_Frame(self._quote, self._command, self._word))
            self._quote, self._command, self._word = "", Command(), None
            self._at += 2
        elif following == "{" and not text.startswith("${{", at):
            self._skip(_PARAMETER, "${ }")
        elif following in ("'", '"') and not self._quote:
            self._lost = f"${following}…{following}"
        else:
            self._part("$", quoted=bool(self._quote))
            self._at += 1

    def _bare(self, character: str) -> None:
        text, at = self._text, self._at
        if character in "'\"":
            self._quote = character
            self._part("", quoted=True)
            self._at += 1
        elif character == "#" and self._word is None:
            self._comment()
        elif character in " \t\r":
            self._end_word()
            self._at += 1
        elif character in "<>":
            self._redirect()
        elif character == "(" and _FUNCTION.match(text, at):
            self._lost = "a function"
        elif character == "(" and text.startswith("((", at):
            self._lost = "(( ))"
        elif character in _OPERATORS:
            self._operator(character)
        else:
            self._part(character)
            self._at += 1

    def _comment(self) -> None:
        end = self._text.find("\n", self._at)
        end = len(self._text) if end < 0 else end
        block = self._next_block()
        if block is not None and block.start < end:
            raise _refused(say("inside a comment"), block.start)
        self._at = end

    def _redirect(self) -> None:
        if self._text.startswith("<<", self._at):
            self._lost = "a here-document"
            return
        if self._word is not None and self._word.text.isdigit() and not self._word.quoted:
            self._word = None
        self._end_word()
        self._redirects = True
        self._at += 1
        if self._text[self._at : self._at + 1] in (">", "&", "|"):
            self._at += 1

    def _operator(self, character: str) -> None:
        self._end_command()
        self._at += 1
        if not self._frames:
            return
        frame = self._frames[-1]
        if character == "(":
            frame.depth += 1
        elif character == ")" and frame.depth:
            frame.depth -= 1
        elif character == ")":
            self._quote, self._command, self._word = frame.quote, frame.command, frame.word
            self._frames.pop()

    # --- words ----------------------------------------------------------------------------------------

    def _skip(self, simple: re.Pattern[str], otherwise: str) -> None:
        found = simple.match(self._text, self._at)
        if found is None:
            self._lost = otherwise
            return
        self._part("")
        self._at = found.end()

    def _part(self, text: str, *, quoted: bool = False) -> None:
        if self._word is None:
            self._word = Word(at=self._at)
        self._word.add(text, quoted=quoted)

    def _end_word(self) -> None:
        word, self._word = self._word, None
        if word is None:
            return
        if self._redirects:
            self._redirects = False
            return
        if word.text == "case" and self._frames:
            self._lost = "case inside $( )"
        if word.text == "function" and not self._command.words:
            self._lost = "a function"
        self._command.add(word)

    def _end_command(self) -> None:
        self._end_word()
        self._redirects = False
        if self._command.words:
            self.found.commands.append(self._command)
        self._command = Command()


def _refused(where: str, at: int) -> ExpressionError:
    return ExpressionError(say("a value %(where)s cannot be placed safely", where=where), at, hint=SUGGESTION)
