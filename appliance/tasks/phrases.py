"""Sentences that start a task: patterns with `{name}` for a word and `{name...}` for the rest of the line. Pure.

A pattern is matched from left to right without ever going back, so that no message can make it slow: literal parts are
searched, what lies between them is captured.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

from appliance.lib.errors import MillwrightError
from appliance.lib.said import say
from appliance.lib.unseen import is_typed

LONGEST_PATTERN = 200
LONGEST_TEXT = 2000
"""Characters of a message that may be a sentence for a task."""
LONGEST_CAPTURE = 200
MOST_CAPTURES = 10
_CAPTURE = re.compile(r"\{([^{}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,59}")
_CJK = "\u3001-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_CHINESE = re.compile(f"[{_CJK}]")
_LOOSE_BLANK = re.compile(f"(?<=[{_CJK}]) | (?=[{_CJK}])")
_ADDRESSED = re.compile(r"@\S{1,64} +")
_COMMAND_OF = re.compile(r"/([^\s@/]+)@\w{1,64}(?=\s|$)")


class PatternInvalid(MillwrightError):
    """A pattern that cannot be meant."""

    code = "tasks.pattern_invalid"


@dataclass(frozen=True, slots=True)
class Capture:
    name: str
    rest: bool
    """It takes the rest of the line, blanks included."""


Part = str | Capture


@dataclass(frozen=True)
class Phrase:
    """A pattern, read. Two forms: as it is written, and for Chinese without the blanks beside its characters."""

    parts: tuple[Part, ...]
    """Literals in small letters, and captures."""
    tight: tuple[Part, ...] = field(repr=False)

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(part.name for part in self.parts if isinstance(part, Capture))

    @cached_property
    def literals(self) -> int:
        """How many characters it says itself, blanks not counted: the more, the closer it is to what was meant."""
        return sum(len(part.replace(" ", "")) for part in self.parts if isinstance(part, str))

    @property
    def beginnings(self) -> tuple[tuple[str, bool], ...]:
        """The literals that it may begin with (empty: anything), and whether something else may stand right after."""
        firsts = (parts[0] for parts in (self.parts, self.tight))
        return tuple((one, len(self.parts) > 1) if isinstance(one, str) else ("", True) for one in firsts)

    def match(self, sentence: "Sentence") -> dict[str, str] | None:
        """What stands at each name in it; None where the sentence is another."""
        found = _match(self.parts, sentence.said, sentence.compared)
        if found is None and sentence.tight is not None:
            found = _match(self.tight, sentence.tight, _folded(sentence.tight))
        return found


@dataclass(frozen=True)
class Sentence:
    """A message as it is compared with patterns."""

    said: str

    @cached_property
    def compared(self) -> str:
        return _folded(self.said)

    @cached_property
    def tight(self) -> str | None:
        """Without the blanks beside Chinese characters, where they mean nothing; None where there are no such."""
        return _tightened(self.said) if _CHINESE.search(self.said) else None


def parse_phrase(pattern: str) -> Phrase:
    """Raises PatternInvalid with the sentence for whoever wrote it."""
    if len(pattern) > LONGEST_PATTERN:
        raise PatternInvalid(say("a pattern has at most %(number)s characters", number=LONGEST_PATTERN))
    said = normalised(pattern)
    if not said:
        raise PatternInvalid(
            say("a pattern is one line of words, without control characters"),
            hint=say("as in restart pump {pump}"),
        )
    parts = tuple(_parts(said))
    _check(parts)
    return Phrase(parts, tuple(_tight_parts(parts)))


def normalised(text: str) -> str:
    """What is compared: full-width forms are half-width ones, blanks are one each, `/` and `@bot` in front are gone.

    Empty for what starts nothing: more than one line, control characters, or a text that is too long.
    """
    if len(text) > LONGEST_TEXT:
        return ""
    said = unicodedata.normalize("NFKC", text.strip()).replace("\t", " ")
    if len(said) > LONGEST_TEXT or not is_typed(said):
        return ""
    said = " ".join(word for word in said.split(" ") if word)
    addressed = _ADDRESSED.match(said)
    if addressed is not None:
        said = said[addressed.end() :]
    command = _COMMAND_OF.match(said)
    if command is not None:
        said = command[1] + said[command.end() :]
    return said.removeprefix("/").strip()


def _parts(said: str) -> Iterator[Part]:
    at = 0
    for found in _CAPTURE.finditer(said):
        if found.start() > at:
            yield _folded(said[at : found.start()])
        at = found.end()
        name = found[1].strip()
        rest = name.endswith("...")
        name = name.removesuffix("...").strip()
        if not _NAME.fullmatch(name):
            raise PatternInvalid(
                say("%(name)r cannot name a word", name=name),
                hint=say("a letter or _, then letters, digits and _"),
            )
        yield Capture(name, rest)
    if at < len(said):
        yield _folded(said[at:])


def _check(parts: tuple[Part, ...]) -> None:
    names = [part.name for part in parts if isinstance(part, Capture)]
    for part in parts:
        if isinstance(part, str) and ("{" in part or "}" in part):
            raise PatternInvalid(say("a brace is open"), hint=say("as in restart pump {pump}"))
    for name in names:
        if names.count(name) > 1:
            raise PatternInvalid(say("{%(name)s} stands there twice", name=name))
    if len(names) > MOST_CAPTURES:
        raise PatternInvalid(say("a pattern captures at most %(number)s words", number=MOST_CAPTURES))
    for one, following in pairwise(parts):
        if isinstance(one, Capture) and isinstance(following, Capture):
            raise PatternInvalid(
                say(
                    "{%(one)s} and {%(other)s} need something between them",
                    one=one.name,
                    other=following.name,
                )
            )
        if isinstance(one, Capture) and one.rest:
            raise PatternInvalid(
                say("{%(name)s...} takes the rest of the line: it comes last", name=one.name)
            )


def _tight_parts(parts: tuple[Part, ...]) -> Iterator[Part]:
    for part in parts:
        if isinstance(part, str):
            tight = _tightened(part)
            # A blank alone holds two captures apart.
            yield tight or part
        else:
            yield part


def _tightened(said: str) -> str:
    """Without the blanks beside Chinese characters: there they mean nothing."""
    return _LOOSE_BLANK.sub("", said)


def _match(parts: tuple[Part, ...], said: str, compared: str) -> dict[str, str] | None:
    """The leftmost place of each literal is the right one: what lies before it only gets shorter by that."""
    found: dict[str, str] = {}
    at = 0
    for index, part in enumerate(parts):
        if isinstance(part, str):
            if not compared.startswith(part, at):
                return None
            at += len(part)
            continue
        end = _end_of(parts, index, compared, at)
        value = said[at:end].strip()
        if end <= at or not value or len(value) > LONGEST_CAPTURE or (" " in value and not part.rest):
            return None
        found[part.name], at = value, end
    return found if at == len(said) else None


def _end_of(parts: tuple[Part, ...], index: int, compared: str, at: int) -> int:
    """Where the capture ends: before the next literal, which after the last capture is the end of the line; else -1."""
    if index == len(parts) - 1:
        return len(compared)
    literal = parts[index + 1]
    assert isinstance(literal, str)
    if index == len(parts) - 2:
        return len(compared) - len(literal) if compared.endswith(literal) else -1
    return compared.find(literal, at + 1)


def _folded(text: str) -> str:
    """Small letters, character by character, so that places in it are places in the text."""
    small = text.lower()
    if len(small) == len(text):
        return small
    return "".join(one.lower() if len(one.lower()) == 1 else one for one in text)
