"""Rules: a sentence that is made of known classes of words and names, and of nothing else. Pure."""

from collections.abc import Iterable, Iterator
from functools import cache

from appliance.agent.router.domain import How, Intent, Meaning, Proposal
from appliance.agent.router.reading import Reading, Segment

CONFIDENCE = 0.9
Item = tuple[str, bool]
"""A class or ``{slot}``, and whether it may be left out."""


def by_rules(reading: Reading, intents: Iterable[Intent]) -> Iterator[Proposal]:
    """The intents one of whose patterns takes every word that means something."""
    said = reading.said
    for intent in intents:
        if said and any(_takes(_items(pattern), said) for pattern in intent.patterns):
            yield Proposal(Meaning(intent.id), How.RULES, CONFIDENCE)


@cache
def _items(pattern: str) -> tuple[Item, ...]:
    return tuple((part.removesuffix("?"), part.endswith("?")) for part in pattern.split())


def _takes(items: tuple[Item, ...], said: tuple[Segment, ...]) -> bool:
    if not items:
        return not said
    (wanted, optional), rest = items[0], items[1:]
    if said and _is(said[0], wanted) and _takes(rest, said[1:]):
        return True
    return optional and _takes(rest, said)


def _is(segment: Segment, wanted: str) -> bool:
    if wanted.startswith("{"):
        return any(f"{{{name.type}}}" == wanted for name in segment.names)
    return wanted in segment.word.classes and not segment.names
