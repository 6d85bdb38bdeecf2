"""Reads a program's arguments by its schema, as its ``getopt`` will; what does not fit is a Problem with a sentence."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from appliance.lib.errors import MillwrightError
from appliance.safety.commands.domain import Word
from appliance.safety.commands.schema import Option, Schema


class Problem(MillwrightError):
    """The arguments are not in the schema; the text goes on after the program's name."""

    code = "commands.arguments"


@dataclass(slots=True)
class Arguments:
    """``options``: each with its value, if it has one. ``rest``: where the operands begin, for wrappers."""

    options: list[tuple[str, Option, Word | None]] = field(default_factory=list)
    operands: list[Word] = field(default_factory=list)


def read_arguments(schema: Schema, words: Sequence[Word]) -> Arguments:
    """Options and operands of ``words`` (without the program). Raises Problem."""
    found, at = Arguments(), 0
    while at < len(words):
        word = words[at]
        at += 1
        if word.known and word.text == "--":
            found.operands += words[at:]
            break
        if word.split:
            raise Problem("has a value without quotes, which may become further words")
        if not word.may_be_option or (word.known and word.text == "-"):
            found.operands.append(word)
            if not schema.permute:
                found.operands += words[at:]
                break
        elif not word.text:
            raise Problem("has a word that is only known when it runs, and may be an option")
        else:
            at = _option(schema, word, words, at, found)
    return found


def _option(schema: Schema, word: Word, words: Sequence[Word], at: int, found: Arguments) -> int:
    if word.many and not word.text:
        raise Problem("has words that are only known when it runs")
    if word.text.startswith("--") or schema.once:
        return _long(schema, word, words, at, found)
    if schema.numeric and word.known and word.text[1:].isdecimal():
        return at
    return _cluster(schema, word, words, at, found)


def _long(schema: Schema, word: Word, words: Sequence[Word], at: int, found: Arguments) -> int:
    name, equals, value = word.text.partition("=")
    option = schema.options.get(name)
    if option is None or (not equals and not word.known):
        raise Problem(f"is given {word.shown}, an option that is not in the tables")
    if equals:
        if option.takes not in ("=", "?"):
            raise Problem(f"is given {word.shown}, but {name} takes no value")
        found.options.append((name, option, Word(value, word.known)))
        return at
    return _take(name, option, words, at, found)


def _cluster(schema: Schema, word: Word, words: Sequence[Word], at: int, found: Arguments) -> int:
    """``-abc`` and ``-ovalue``."""
    letters = word.text[1:]
    for number, letter in enumerate(letters):
        name, rest = f"-{letter}", letters[number + 1 :]
        option = schema.options.get(name)
        if option is None:
            raise Problem(f"is given {name} in {word.shown}, an option that is not in the tables")
        if option.takes and (rest or not word.known):
            found.options.append((name, option, Word(rest, word.known)))
            return at
        if option.takes == "=":
            return _take(name, option, words, at, found)
        found.options.append((name, option, None))
    if not word.known:
        raise Problem("has options that are only known when it runs")
    return at


def _take(name: str, option: Option, words: Sequence[Word], at: int, found: Arguments) -> int:
    if option.takes != "=":
        found.options.append((name, option, None))
        return at
    if at >= len(words):
        raise Problem(f"lacks the value of {name}")
    if words[at].many:
        raise Problem(f"has any number of words behind {name}")
    found.options.append((name, option, words[at]))
    return at + 1
