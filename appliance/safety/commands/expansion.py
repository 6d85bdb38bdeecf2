"""Fills values into written words, the way ``sh`` does: fields are split and patterns expand where nothing quotes."""

import re
from collections.abc import Mapping, Sequence

from appliance.safety.commands.domain import UNKNOWN_WORD, Word
from appliance.safety.commands.script import Parameter, Pattern, Substitution, Text, Tilde

_GLOB = re.compile(r"[*?\[]")
_BLANKS = " \t\n"
_ALL_VALUES = ("@", "*")


class Values:
    """What parameters stand for here. ``positional`` is None while the values are not known (a task is saved)."""

    __slots__ = ("_named", "positional")

    def __init__(self, positional: Sequence[str] | None, named: Mapping[str, Word] | None = None) -> None:
        self.positional = None if positional is None else tuple(positional)
        self._named: dict[str, Word] = dict(named or {})

    def get(self, name: str) -> Word:
        """The value of ``$name`` between double quotes."""
        if name.isdecimal() and name != "0":
            if self.positional is None:
                return UNKNOWN_WORD
            number = int(name)
            return Word(self.positional[number - 1]) if number <= len(self.positional) else Word("")
        return self._named.get(name, UNKNOWN_WORD)

    def set(self, name: str, word: Word) -> None:
        self._named[name] = word

    def forget(self, names: frozenset[str]) -> None:
        """They may be set to anything from here on."""
        for name in names:
            self._named[name] = UNKNOWN_WORD


def expand(pattern: Pattern, values: Values) -> list[Word]:
    """The words that the program gets: none for an empty unquoted value."""
    if len(pattern.parts) == 1 and isinstance(pattern.parts[0], Text):
        text = pattern.parts[0].text
        if pattern.parts[0].quoted or (text and not _GLOB.search(text)):
            return [Word(text)]
    every = _every_value(pattern, values)
    if every is not None:
        return every
    text, known, many, globbed, quoted, split = "", True, False, True, False, False
    for part in pattern.parts:
        if isinstance(part, Text):
            quoted = quoted or part.quoted
            glob = None if part.quoted else _GLOB.search(part.text)
            if glob is None or not _expands(pattern, part):
                text += part.text if known else ""
            else:
                text += part.text[: glob.start()] if known else ""
                known, many = False, True
            continue
        if isinstance(part, Tilde):
            text, known, globbed = "/", False, False
            continue
        value = _value(part, values)
        quoted = quoted or part.quoted
        if part.quoted:
            text, known, globbed = (
                (text + value.text if known else text),
                known and value.known,
                globbed and value.known,
            )
        elif not value.known:
            known, many, globbed, split = False, True, False, True
        elif len(pattern.parts) == 1:
            return _fields(value.text)
        elif _GLOB.search(value.text) or any(blank in value.text for blank in _BLANKS):
            known, many, globbed, split = False, True, False, True
        else:
            text += value.text if known else ""
    if known and not text and not quoted:
        return []
    return [Word(text, known, many, globbed and not known, split)]


def expand_whole(pattern: Pattern, values: Values) -> Word:
    """The one word of an assignment or a redirection, where no field is split."""
    words = expand(Pattern(tuple(_as_quoted(part) for part in pattern.parts)), values)
    return words[0] if len(words) == 1 and not words[0].many else (Word("") if not words else UNKNOWN_WORD)


def _as_quoted(part: Text | Parameter | Substitution | Tilde) -> Text | Parameter | Substitution | Tilde:
    if isinstance(part, Parameter):
        return Parameter(part.name, True, part.plain)
    if isinstance(part, Text):
        return Text(part.text, True)
    return Substitution(True) if isinstance(part, Substitution) else part


def _expands(pattern: Pattern, part: Text) -> bool:
    """A lone ``[`` is the command test, and a lone ``]`` ends it."""
    return not (part.text == "[" and len(pattern.parts) == 1)


def _value(part: Parameter | Substitution, values: Values) -> Word:
    return values.get(part.name) if isinstance(part, Parameter) and part.plain else UNKNOWN_WORD


def _fields(value: str) -> list[Word]:
    """An unquoted value on its own: cut at blanks, and each piece a pattern."""
    words = []
    for field in re.split(r"[ \t\n]+", value.strip(_BLANKS)) if value.strip(_BLANKS) else []:
        glob = _GLOB.search(field)
        words.append(Word(field) if glob is None else Word(field[: glob.start()], False, True, True))
    return words


def _every_value(pattern: Pattern, values: Values) -> list[Word] | None:
    """``"$@"``, and ``$@`` and ``$*`` which are words of any number."""
    found = [p for p in pattern.parts if isinstance(p, Parameter) and p.plain and p.name in _ALL_VALUES]
    if not found:
        return None
    alone = len(found) == 1 and all(p is found[0] or p == Text("", True) for p in pattern.parts)
    if alone and found[0].name == "@" and found[0].quoted and values.positional is not None:
        return [Word(value) for value in values.positional]
    first = pattern.parts[0]
    return [Word(first.text if isinstance(first, Text) and first.quoted else "", False, True, split=True)]
