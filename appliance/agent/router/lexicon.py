"""The words that the router knows, and the names of this box, found in a sentence by the longest match."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar

import yaml

from appliance.agent.router.domain import SlotType
from appliance.agent.router.tokens import words_of

DATA = Path(__file__).parent / "data"
TAGS = ("negation", "plain", "whether", "filler", "question", "condition", "joining")
MOST_WORDS = 12
"""Words of a name that are looked at."""
T = TypeVar("T")
Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Word:
    """One known word or phrase: ``tags`` of the sentence, ``poles`` of pairs, ``classes`` of patterns."""

    tags: frozenset[str] = frozenset()
    poles: frozenset[str] = frozenset()
    classes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Name:
    """Something of this box that can be named; ``value`` is its name as services take it."""

    type: SlotType
    value: str


@dataclass
class Phrases(Generic[T]):
    """Phrases by their words; the longest one that stands at a place is found."""

    known: dict[Words, T] = field(default_factory=dict)
    longest: dict[str, int] = field(default_factory=dict)

    def put(self, words: Words, what: T) -> None:
        if words:
            self.known[words] = what
            self.longest[words[0]] = max(self.longest.get(words[0], 0), len(words))

    def at(self, words: Words, place: int) -> tuple[int, T] | None:
        """How many words, and what they are."""
        most = min(self.longest.get(words[place], 0), len(words) - place)
        for length in range(most, 0, -1):
            found = self.known.get(words[place : place + length])
            if found is not None:
                return length, found
        return None


@dataclass(frozen=True)
class Lexicon:
    words: Phrases[Word]
    units: Phrases[str]


def name_table(names: Iterable[Name]) -> Phrases[tuple[Name, ...]]:
    """Names by their words. Several of one form stand together: which is meant is not ours to say."""
    table: Phrases[tuple[Name, ...]] = Phrases()
    for name in names:
        words = words_of(name.value)[:MOST_WORDS]
        table.put(words, (*table.known.get(words, ()), name))
    return table


def load_data(name: str) -> Any:
    """A file of the router's own data, by the C form of the safe loader: ten times as fast."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load((DATA / name).read_bytes(), Loader=loader)  # noqa: S506 - it is a safe one


@cache
def lexicon() -> Lexicon:
    """As ``data/words.yaml`` says."""
    raw: dict[str, Any] = load_data("words.yaml")
    gathered: dict[Words, dict[str, set[str]]] = {}

    def mark(phrases: Iterable[str], kind: str, what: str) -> None:
        for phrase in phrases:
            if not isinstance(phrase, str):
                raise TypeError(f"{phrase!r} in words.yaml needs quotes")  # YAML takes no and on for booleans
            entry = gathered.setdefault(words_of(phrase), {"tags": set(), "poles": set(), "classes": set()})
            entry[kind].add(what)

    for tag in TAGS:
        mark(raw[tag], "tags", tag)
    for axis, sides in raw["pairs"].items():
        mark(sides.get("plus", ()), "poles", f"{axis}+")
        mark(sides.get("minus", ()), "poles", f"{axis}-")
    for name, phrases in raw["classes"].items():
        mark(phrases, "classes", name)
    words: Phrases[Word] = Phrases()
    for phrase, entry in gathered.items():
        words.put(phrase, Word(*(frozenset(entry[kind]) for kind in ("tags", "poles", "classes"))))
    return Lexicon(words, _units(raw["units"]))


def _units(raw: Mapping[str, Iterable[str]]) -> Phrases[str]:
    units: Phrases[str] = Phrases()
    for unit, spellings in raw.items():
        for spelling in spellings:
            units.put(words_of(spelling), unit)
    return units
