"""What a student sees of a sentence: its characters, its words, and what the box's own lexicon knows of them. Pure.

The last is the same in both languages: who has learnt `show tasks` knows 显示任务.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import pairwise
from math import log, sqrt

from appliance.agent.router.intents import own_intents
from appliance.agent.router.reading import Reading, Segment, spelling
from appliance.agent.router.tokens import words_of
from appliance.inference.embeddings.ngrams import Sparse, grams, place_of

SCHEME = "characters 2-4, words 1-2, lexicon, own words/crc32-fibonacci/log-count/1"
"""Change it whenever a sentence would get other features: a student is for the scheme that it was made with."""
BITS = 13
SIZE = 1 << BITS
CHARACTERS, WORDS, LEXICON, OWN_WORDS = 1.0, 1.0, 1.0, 0.7
"""How much each of the parts weighs: tried out by leaving out each fifth of the families in turn."""


def features(reading: Reading) -> Sparse:
    """Dimension to weight; each of the parts has the length that it weighs."""
    found: Sparse = {}
    parts = (
        (CHARACTERS, (f"c{gram}" for gram in grams(reading.core))),
        (WORDS, _words(reading.said)),
        (LEXICON, _lexicon(reading)),
        (OWN_WORDS, _own_words(reading.said)),
    )
    for weight, keys in parts:
        for place, value in _of_length(weight, keys).items():
            found[place] = found.get(place, 0.0) + value
    return found


def _of_length(length: float, keys: Iterable[str]) -> Sparse:
    counts = Counter(place_of(key, BITS) for key in keys)
    weights = {place: 1.0 + log(count) for place, count in counts.items()}
    whole = sqrt(sum(weight * weight for weight in weights.values()))
    return {place: length * weight / whole for place, weight in weights.items()}


def _words(said: tuple[Segment, ...]) -> Iterator[str]:
    words = ["<", *(_word(one) for one in said), ">"]
    yield from (f"w{word}" for word in words[1:-1])
    yield from (f"b{one} {other}" for one, other in pairwise(words))


def _own_words(said: tuple[Segment, ...]) -> Iterator[str]:
    """Intents whose own list has the word."""
    known = _lists()
    for segment in said:
        yield from (f"i{intent}" for intent in known.get(segment.text, ()))


@cache
def _lists() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for intent in own_intents():
        for word in intent.words:
            found.setdefault(spelling(words_of(word)), []).append(intent.id)
    return found


def _word(segment: Segment) -> str:
    return "{number}" if segment.number is not None else segment.masked


def _lexicon(reading: Reading) -> Iterator[str]:
    """Classes in their order, sides of opposites, tags, and how much there is that nobody knows."""
    classes = []
    for segment in reading.said:
        known = sorted(segment.word.classes) or ([segment.masked] if segment.names or segment.slot else [])
        classes.append("|".join(known) or ("#" if segment.number is not None else "."))
        yield from (f"k{one}" for one in known)
        yield from (f"p{one}" for one in segment.word.poles)
        yield from (f"t{one}" for one in segment.word.tags)
    yield from (f"o{one} {other}" for one, other in pairwise(["<", *classes, ">"]))
    yield f"n{min(len(classes), 6)}"
