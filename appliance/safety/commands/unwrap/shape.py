"""What the unwrappers share: how options before the inner command are read."""

from collections.abc import Callable, Sequence

from appliance.safety.commands.arguments import Arguments, Problem, read_arguments
from appliance.safety.commands.around import Around
from appliance.safety.commands.domain import Leaf, Word
from appliance.safety.commands.schema import Option, Schema

Judge = Callable[[Sequence[Word], Around], list[Leaf]]
Unwrap = Callable[[Sequence[Word], Around, Judge], list[Leaf]]


def words_of(text: str) -> frozenset[str]:
    """A set of words that is read as text."""
    return frozenset(text.split())


def options(
    flags: str = "", values: str = "", attached: str = "", *, numeric: bool = False, permute: bool = False
) -> Schema:
    """A schema of options that end at the first operand unless ``permute``; none of them changes the class."""
    known = {name: Option("") for name in flags.split()}
    known |= {name: Option("=") for name in values.split()}
    known |= {name: Option("?") for name in attached.split()}
    return Schema(options=known, permute=permute, numeric=numeric)


def front(schema: Schema, words: Sequence[Word], skip: int = 0) -> tuple[Arguments, list[Word]]:
    """The options before the inner command and its words; ``skip`` operands come before it. Raises Problem."""
    found = read_arguments(schema, words[1:])
    if any(word.many for word in found.operands[:skip]) or len(found.operands) < skip:
        raise Problem("lacks a word before the command, or has any number of them")
    return found, found.operands[skip:]


def given(found: Arguments, *names: str) -> bool:
    return any(name in names for name, _, _ in found.options)


def value_of(found: Arguments, *names: str) -> Word | None:
    """The last value given to one of these options."""
    return next((value for name, _, value in reversed(found.options) if name in names), None)
