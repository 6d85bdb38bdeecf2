"""What the router knows of this box, made ready to be asked: names, known sentences and their index."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from appliance.agent.router.domain import How, Intent, Meaning, SlotType
from appliance.agent.router.intents import own_intents
from appliance.agent.router.lexicon import Name, Phrases, lexicon, name_table
from appliance.agent.router.nearest import NgramIndex
from appliance.agent.router.reading import Number, Reading, read, spelling
from appliance.agent.router.tokens import words_of
from appliance.inference.embeddings.normalising import is_chinese, normalised

PIECE = 40
"""Sentences between two pauses of a build."""
LONGEST_DESCRIPTION = 120
RUN_TASK = "task.run"


@dataclass(frozen=True, slots=True)
class KnownTask:
    name: str
    description: str = ""
    phrases: tuple[str, ...] = ()
    """Sentences of its chat triggers."""
    numbers: tuple[str, ...] = ()
    """Names of its variables that are numbers: they are the slots of a sentence that starts it."""


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A sentence, in its normalised form, that ``by`` has said to mean this."""

    text: str
    meaning: Meaning
    by: str


@dataclass(frozen=True, slots=True)
class World:
    """What there is on a box. ``revision`` is another one whenever something of it has changed."""

    tasks: tuple[KnownTask, ...] = ()
    devices: tuple[str, ...] = ()
    topics: frozenset[str] = frozenset()
    platforms: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    confirmed: tuple[Confirmed, ...] = ()
    revision: tuple[object, ...] = ()

    def names(self) -> Iterator[Name]:
        yield from (Name(SlotType.TASK, task.name) for task in self.tasks)
        yield from (Name(SlotType.DEVICE, name) for name in self.devices)
        yield from (Name(SlotType.PLATFORM, name) for name in self.platforms)
        yield from (Name(SlotType.MODEL, name) for name in self.models)


@dataclass(frozen=True, slots=True)
class Entry:
    """One known sentence: what has to stand in another one that is to mean the same."""

    text: str
    meaning: Meaning
    how: How
    negations: int
    conditional: bool
    joined: bool
    poles: frozenset[str]
    numbers: tuple[Number, ...]
    words: frozenset[str] = frozenset()
    """Its own words, where they belong to one task alone."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Which words belong to an intent, and which pairs of Chinese characters."""

    words: frozenset[str]
    pairs: frozenset[str]

    def knows(self, text: str) -> bool:
        if text in self.words:
            return True
        if not all(is_chinese(one) for one in text):
            return False
        pairs = [text[at : at + 2] for at in range(len(text) - 1)]
        return bool(pairs) and all(pair in self.pairs for pair in pairs)


@dataclass(frozen=True)
class Knowledge:
    """Read only, once it is built: any number of threads may ask it."""

    world: World
    intents: Mapping[str, Intent]
    names: Phrases[tuple[Name, ...]]
    exact: Mapping[str, tuple[int, ...]]
    """Places in ``entries``."""
    confirmed: Mapping[str, tuple[Meaning, ...]]
    entries: tuple[Entry, ...]
    """The box's own sentences first, in the order of ``own``; then those of ``others``."""
    own: NgramIndex
    """By ``Reading.core``."""
    others: NgramIndex
    """Sentences of tasks and people, by ``Reading.bare``."""
    vocabularies: Mapping[str, Vocabulary]
    poles: Mapping[str, frozenset[str]]
    numbers_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def read(self, text: str) -> Reading:
        return read(text, self.names, self.world.topics)


def _nothing() -> None:
    """Nobody else waits."""


def build(world: World, pause: Callable[[], None] = _nothing) -> Knowledge:
    """Reads every known sentence. ``pause`` is called between small pieces, so that a thread is in nobody's way."""
    names = name_table(world.names())
    intents = {intent.id: intent for intent in own_intents()}
    indexes = NgramIndex(), NgramIndex()
    exact: dict[str, dict[object, int]] = {}
    entries: list[Entry] = []
    poles = {intent.id: set(intent.poles) for intent in intents.values()}
    words: dict[str, set[str]] = {intent.id: _own_words(intent) for intent in intents.values()}
    pairs: dict[str, set[str]] = {intent.id: set() for intent in intents.values()}
    sentences = _sentences(world, intents)
    while piece := list(islice(sentences, PIECE)):
        for text, meaning, how in piece:
            reading = read(text, names, world.topics)
            own = how is How.EXACT and not meaning.slots
            if how is How.EXACT:
                key = reading.masked if own else spelled(reading)
                exact.setdefault(key, {}).setdefault(meaning.key, len(entries))
            if own:
                poles[meaning.intent] |= reading.poles
                words[meaning.intent] |= {segment.text for segment in reading.segments}
                pairs[meaning.intent] |= _pairs(reading.text)
            entries.append(_entry(reading, meaning, how, frozenset() if own else _words(reading)))
            indexes[not own].add([reading.core if own else reading.bare])
        pause()
    return Knowledge(
        world=world,
        intents=intents,
        names=names,
        exact={text: tuple(found.values()) for text, found in exact.items()},
        confirmed=_confirmed(world),
        entries=tuple(entries),
        own=indexes[0],
        others=indexes[1],
        vocabularies={one: Vocabulary(frozenset(words[one]), frozenset(pairs[one])) for one in intents},
        poles={one: frozenset(found) for one, found in poles.items()},
        numbers_of={task.name: task.numbers for task in world.tasks},
    )


def _sentences(world: World, intents: Mapping[str, Intent]) -> Iterator[tuple[str, Meaning, How]]:
    """Text, meaning, and by which step it may be found."""
    for intent in intents.values():
        for text in intent.exemplars:
            yield text, Meaning(intent.id), How.EXACT
    for task in world.tasks:
        meaning = Meaning(RUN_TASK, {"task": task.name})
        for phrase in task.phrases:
            if "{" not in phrase:  # those with words to fill in are the chat triggers' own
                yield phrase, meaning, How.EXACT
        if task.description:
            yield task.description[:LONGEST_DESCRIPTION], meaning, How.NEAREST
        yield " ".join(words_of(task.name)), meaning, How.NEAREST
    for one in _standing(world):
        yield one.text, one.meaning, How.EXAMPLE


def _standing(world: World) -> Iterator[Confirmed]:
    """Without those about a task or a device that there is no more."""
    there = {f"{name.type}={name.value}" for name in world.names()}
    for one in world.confirmed:
        if all(
            f"{kind}={one.meaning.slots.get(kind)}" in there
            for kind in ("task", "device")
            if kind in one.meaning.slots
        ):
            yield one


def _entry(reading: Reading, meaning: Meaning, how: How, words: frozenset[str]) -> Entry:
    return Entry(
        text=reading.core if how is How.EXACT else reading.text,
        meaning=meaning,
        how=how,
        negations=reading.negations,
        conditional=reading.has("condition"),
        joined=reading.has("joining"),
        poles=reading.poles,
        numbers=reading.numbers,
        words=words,
    )


def _confirmed(world: World) -> dict[str, tuple[Meaning, ...]]:
    """By sentence: more than one meaning where two people meant different things."""
    found: dict[str, dict[object, Meaning]] = {}
    for one in _standing(world):
        found.setdefault(one.text, {})[one.meaning.key] = one.meaning
    return {text: tuple(meanings.values()) for text, meanings in found.items()}


def _own_words(intent: Intent) -> set[str]:
    """Those that its own list says, and those of the classes that its patterns are made of."""
    classes = {part.removesuffix("?") for pattern in intent.patterns for part in pattern.split()}
    known = lexicon().words.known.items()
    in_patterns = {spelling(words) for words, word in known if word.classes & classes}
    return in_patterns | {spelling(words_of(word)) for word in intent.words}


def _words(reading: Reading) -> frozenset[str]:
    """Of a sentence about one task: its words, those inside of names too."""
    inside = {word for segment in reading.segments for word in segment.text.split()}
    return frozenset(inside | {segment.text for segment in reading.segments} | _pairs(reading.text))


def _pairs(text: str) -> set[str]:
    return {
        text[at : at + 2] for at in range(len(text) - 1) if is_chinese(text[at]) and is_chinese(text[at + 1])
    }


def spelled(reading: Reading) -> str:
    """As it stands there, names and all: for a sentence that belongs to one task."""
    return "=" + " ".join(one.text for one in reading.segments)


def as_example(text: str) -> str:
    """The form in which a confirmed sentence is kept and compared."""
    return normalised(text).rstrip("?!.。？！ ")
