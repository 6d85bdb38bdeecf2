"""The vocabulary of the router: intents, their slots, and what a sentence was taken for. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Effect(StrEnum):
    READ = "read"
    CHANGE = "change"


class SlotType(StrEnum):
    """What can stand in a slot. The first six are names that this box has."""

    TASK = "task"
    DEVICE = "device"
    TOPIC = "topic"
    PLATFORM = "platform"
    MODEL = "model"
    RUN = "run"
    """The last eight characters of a run's number, or all of it."""
    CODE = "code"
    """The six characters of an approval."""
    NUMBER = "number"
    SWITCH = "switch"
    """On or off."""
    SPAN = "span"
    """A length of time."""


@dataclass(frozen=True, slots=True)
class Slot:
    name: str
    type: SlotType
    required: bool = True
    unit: str = ""
    """Of a number: what it has to be in, where it says a unit at all."""


@dataclass(frozen=True, slots=True)
class Intent:
    """Something that the box can do. ``command`` is how it is said in chat, empty where chat has no words for it.

    ``poles``: the sides of pairs of opposites that may stand in a sentence that means it (``start+``, ``power-``).
    """

    id: str
    effect: Effect
    slots: tuple[Slot, ...]
    exemplars: tuple[str, ...]
    command: str = ""
    poles: frozenset[str] = frozenset()
    patterns: tuple[str, ...] = ()
    words: frozenset[str] = frozenset()
    """Further words that may stand in a sentence that means it."""

    def slot_of(self, kind: SlotType) -> Slot | None:
        return next((slot for slot in self.slots if slot.type is kind), None)


class How(StrEnum):
    """By which step something was found, in their order."""

    EXACT = "exact"
    EXAMPLE = "example"
    """A person has confirmed this very sentence."""
    RULES = "rules"
    NEAREST = "nearest"
    STUDENT = "student"
    ENCODER = "encoder"
    MODEL = "model"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Meaning:
    """An intent with its slots filled, as text."""

    intent: str
    slots: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, tuple[tuple[str, str], ...]]:
        return self.intent, tuple(sorted(self.slots.items()))


@dataclass(frozen=True, slots=True)
class Proposal:
    meaning: Meaning
    how: How
    confidence: float
    """0 to 1; cosines and probabilities are not the same thing, and are not compared with each other."""
    like: str = ""
    """The known sentence that it is like."""


@dataclass(frozen=True, slots=True)
class Look:
    """One step of the way, for people: what was looked at, and what came of it."""

    step: str
    said: str


@dataclass(frozen=True, slots=True)
class Routed:
    """What a sentence was taken for. It proposes: who acts on it asks first, where something would change.

    ``agreed``: the deterministic checks found nothing against it; without that ``intent`` is None, and what it may
    have meant stands in ``alternatives``. ``asks``: a person has to confirm it.
    """

    text: str
    intent: Intent | None = None
    slots: Mapping[str, str] = field(default_factory=dict)
    how: How = How.NONE
    confidence: float = 0.0
    agreed: bool = False
    asks: bool = True
    alternatives: tuple[Meaning, ...] = ()
    looks: tuple[Look, ...] = field(default=(), repr=False)
    open: bool = False
    """Nothing agreed so far, and nothing in the sentence rules out that a further voice is right."""
    torn: bool = False
    """More than one thing that the box knows fits exactly: only the person can say which."""
    took: tuple[tuple[str, float], ...] = field(default=(), repr=False)
    """Each step that was gone, with its seconds."""

    @property
    def meaning(self) -> Meaning | None:
        return Meaning(self.intent.id, self.slots) if self.intent is not None else None
