"""What stands in a sentence: names, numbers, negation, opposites, and which words are left. Pure."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property

from appliance.agent.router import numerals
from appliance.agent.router.domain import SlotType
from appliance.agent.router.lexicon import Lexicon, Name, Phrases, Word, lexicon
from appliance.agent.router.tokens import Kind, Token, tokens_of
from appliance.inference.embeddings.normalising import is_chinese

NO_WORD = Word()
_SPANS = {"s": 1, "min": 60, "h": 3600, "d": 86400}
_OF_KIND = {Kind.TOPIC: SlotType.TOPIC, Kind.RUN: SlotType.RUN, Kind.CODE: SlotType.CODE}


@dataclass(frozen=True, slots=True)
class Number:
    value: Decimal
    unit: str = ""

    @property
    def seconds(self) -> Decimal | None:
        """Of a length of time."""
        return self.value * _SPANS[self.unit] if self.unit in _SPANS else None

    def __str__(self) -> str:
        return f"{self.value.normalize():f}{self.unit}"


@dataclass(frozen=True, slots=True)
class Segment:
    """Some words that belong together. ``slot`` stands in known sentences alone."""

    text: str
    word: Word = NO_WORD
    names: tuple[Name, ...] = ()
    number: Number | None = None
    slot: str = ""

    @property
    def masked(self) -> str:
        if self.slot:
            return f"{{{self.slot}}}"
        return f"{{{self.names[0].type}}}" if self.names else str(self.number) if self.number else self.text

    @property
    def is_filler(self) -> bool:
        return "filler" in self.word.tags and not self.word.poles


@dataclass(frozen=True)
class Reading:
    """A sentence, read. ``text`` is its normalised form."""

    text: str
    segments: tuple[Segment, ...] = field(repr=False)

    @cached_property
    def said(self) -> tuple[Segment, ...]:
        """Without what means nothing."""
        return tuple(one for one in self.segments if not one.is_filler)

    @cached_property
    def masked(self) -> str:
        """Every word, names by their type: two sentences about two tasks are the same."""
        return " ".join(one.masked for one in self.segments)

    @cached_property
    def core(self) -> str:
        return " ".join(one.masked for one in self.said)

    @cached_property
    def bare(self) -> str:
        """As ``core``, but with names as they are: a sentence about one task may say its name in words."""
        return " ".join(one.text for one in self.said)

    @cached_property
    def names(self) -> tuple[tuple[Name, ...], ...]:
        return tuple(one.names for one in self.segments if one.names)

    @cached_property
    def numbers(self) -> tuple[Number, ...]:
        return tuple(one.number for one in self.segments if one.number is not None)

    @cached_property
    def poles(self) -> frozenset[str]:
        """The sides of opposites that stand in it, those inside of names left out."""
        return frozenset().union(*(one.word.poles for one in self.segments))

    @cached_property
    def negations(self) -> int:
        return sum("negation" in one.word.tags for one in self.segments)

    def has(self, tag: str) -> bool:
        return any(tag in one.word.tags for one in self.segments)

    @cached_property
    def is_question(self) -> bool:
        return self.has("question") or self.has("whether") or self.text.endswith("?")


def read(text: str, names: Phrases[tuple[Name, ...]], topics: Collection[str] = ()) -> Reading:
    """Raises nothing: what is not known is a segment without a meaning."""
    normal, tokens = tokens_of(text, topics)
    return Reading(normal, tuple(_joined(_segments(tokens, names, lexicon()))))


def _segments(
    tokens: tuple[Token, ...], names: Phrases[tuple[Name, ...]], known: Lexicon
) -> Iterator[Segment]:
    words = tuple(token.text for token in tokens)
    place = 0
    while place < len(tokens):
        length, segment = _one(tokens, words, place, names, known)
        yield segment
        place += length


def _one(
    tokens: tuple[Token, ...],
    words: tuple[str, ...],
    place: int,
    names: Phrases[tuple[Name, ...]],
    known: Lexicon,
) -> tuple[int, Segment]:
    named, worded = names.at(words, place), known.words.at(words, place)
    token = tokens[place]
    if named and (not worded or _outweighs(named[0], worded)):
        length = named[0]
        return length, Segment(spelling(words[place : place + length]), names=named[1])
    if token.kind is Kind.SLOT:
        return 1, Segment(token.text, slot=token.text.strip("{}"))
    if token.kind in _OF_KIND:
        return 1, Segment(token.text, names=(Name(_OF_KIND[token.kind], token.text),))
    number = _number(tokens, words, place)
    if number:
        value, length = number
        unit = known.units.at(words, place + length) if place + length < len(words) else None
        taken = length + (unit[0] if unit else 0)
        if not (worded and worded[0] >= taken):
            text = spelling(words[place : place + taken])
            return taken, Segment(text, number=Number(value, unit[1] if unit else ""))
    if worded:
        length = worded[0]
        return length, Segment(spelling(words[place : place + length]), worded[1])
    return 1, Segment(token.text)


def spelling(words: tuple[str, ...]) -> str:
    """Words of one phrase as one text: Chinese has no blanks between them."""
    return ("" if is_chinese(words[0]) else " ").join(words)


def _outweighs(length: int, worded: tuple[int, Word]) -> bool:
    """A name of the same length as a word of the sentence is that word: a task may be called ``not``."""
    return length > worded[0] or (length == worded[0] and not worded[1].tags)


def _number(tokens: tuple[Token, ...], words: tuple[str, ...], place: int) -> tuple[Decimal, int] | None:
    if tokens[place].kind is Kind.NUMBER:
        value = numerals.of_digits(words[place])
        return (value, 1) if value is not None else None
    if is_chinese(words[place]):
        end = place
        while end < len(words) and (words[end] in numerals.CHINESE or (words[end] == "点" and end > place)):
            end += 1
        while end > place:
            value = numerals.of_chinese("".join(words[place:end]))
            if value is not None:
                return value, end - place
            end -= 1
        return None
    return numerals.of_english(list(words[place : place + 6]))


def _joined(segments: Iterator[Segment]) -> Iterator[Segment]:
    """Chinese characters of no known word stand together until one that is known."""
    run = ""
    for segment in segments:
        plain = segment.word == NO_WORD and not (segment.names or segment.number or segment.slot)
        if plain and len(segment.text) == 1 and is_chinese(segment.text):
            run += segment.text
            continue
        if run:
            yield Segment(run)
            run = ""
        yield segment
    if run:
        yield Segment(run)
