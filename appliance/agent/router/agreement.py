"""Whether a sentence can mean what somebody proposes. Deterministic: nothing here is a matter of degree.

Similarity is blind for just what matters: on and off, do and do not, room 4 and room 5 have cosines above 0.8, and 1.0
in Chinese for an English encoder. So each of them is compared, and one that differs is enough.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from appliance.agent.router.domain import Effect, How, Intent, Meaning, Slot
from appliance.agent.router.knowledge import Entry, Knowledge
from appliance.agent.router.lexicon import Name, lexicon
from appliance.agent.router.reading import Number, Reading

STARTS = frozenset({"start+"})
SOFT = frozenset({"all", "age", "link", "load"})
"""Pairs that only narrow a question down: an answer to the wider one says it too."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """``against``: it cannot mean this. ``unsure``: it may, but something is missing or not understood."""

    slots: Mapping[str, str]
    against: tuple[str, ...] = ()
    unsure: tuple[str, ...] = ()

    @property
    def agreed(self) -> bool:
        return not self.against and not self.unsure

    @property
    def said(self) -> str:
        return "; ".join((*self.against, *self.unsure)) or "agreed"


class Agreement:
    """One sentence and one proposal. ``entry`` is the known sentence that it is like, where there is one."""

    def __init__(
        self,
        knowledge: Knowledge,
        reading: Reading,
        meaning: Meaning,
        entry: Entry | None,
        how: How,
    ) -> None:
        self._knowledge = knowledge
        self._reading = reading
        self._meaning = meaning
        self._entry = entry
        self._how = how
        self._intent: Intent = knowledge.intents[meaning.intent]
        self._changes = self._intent.effect is Effect.CHANGE
        self._against: list[str] = []
        self._unsure: list[str] = []

    def verdict(self) -> Verdict:
        slots = self._slots()
        self._negation()
        self._opposites()
        self._numbers(slots)
        self._mood()
        self._words(slots)
        if self._how is How.NEAREST and not self._changes and self._is_one_word_of_more:
            self._unsure.append("it says too little")
        return Verdict(slots, tuple(self._against), tuple(self._unsure))

    def _slots(self) -> dict[str, str]:
        """Every name in the sentence fills a slot of its type; what is left speaks of something else."""
        filled = dict(self._meaning.slots)
        for names in self._reading.names:
            slot = next((one for one in self._intent.slots if any(n.type is one.type for n in names)), None)
            if slot is None:
                self._against.append(f"it speaks of the {names[0].type} {names[0].value}")
                continue
            self._fill(slot, [name for name in names if name.type is slot.type], filled)
        for slot in self._intent.slots:
            if slot.required and slot.name not in filled:
                self._unsure.append(f"no {slot.type} is named")
        return filled

    def _fill(self, slot: Slot, names: list[Name], filled: dict[str, str]) -> None:
        values = {name.value for name in names}
        known = filled.get(slot.name)
        if known in values:
            return
        if known is not None:
            self._against.append(f"it speaks of {names[0].value} and of {known}")
        elif len(values) > 1:
            self._unsure.append(f"{' and '.join(sorted(values))} are written the same")
        else:
            filled[slot.name] = names[0].value

    def _negation(self) -> None:
        known = self._entry.negations if self._entry else 0
        if self._reading.negations != known:
            self._against.append("one of the two is negated")

    def _opposites(self) -> None:
        """What is said of pairs of opposites stands in the known sentence, or at least among what the intent is."""
        said = self._reading.poles
        own = self._entry.poles if self._entry else frozenset()
        allowed = self._knowledge.poles[self._intent.id] | own
        if self._is_about_one_task:
            said, own, allowed = said - STARTS, own - STARTS, own - STARTS
            if own - said:
                self._unsure.append(f"it does not say {_sides(own - said)}")
        if not self._changes:  # "run all tasks" is made of the words of "which tasks can I run"
            allowed = own | {pole for pole in allowed if pole[:-1] in SOFT}
        for pole in sorted(said - allowed):
            (self._against if _opposite(pole) in allowed | own or self._changes else self._unsure).append(
                f"it says {pole}"
            )
        if self._changes and own_side(self._intent) and not said & self._intent.poles:
            self._against.append(f"it does not say {_sides(self._intent.poles)}")
        both = {pole for pole in self._reading.poles if _opposite(pole) in self._reading.poles}
        if self._changes and not both <= allowed:
            self._against.append("it says both of two opposites")
        if self._changes and any(_opposite(pole) in self._named_poles for pole in said - STARTS):
            self._unsure.append("the name says the opposite")

    @property
    def _is_about_one_task(self) -> bool:
        return self._entry is not None and bool(self._entry.meaning.slots)

    @property
    def _is_one_word_of_more(self) -> bool:
        """``run`` is no question which tasks can be run."""
        said = self._reading.said
        return len(said) == 1 and self._entry is not None and self._entry.text != self._reading.core

    @property
    def _named_poles(self) -> frozenset[str]:
        """Inside of names: ``lights on off`` may be the opposite of the task lights_on, or this task switched off."""
        return frozenset(
            pole
            for segment in self._reading.segments
            if segment.names
            for word in segment.text.split()
            if (known := lexicon().words.known.get((word,)))
            for pole in known.poles
        )

    def _numbers(self, slots: dict[str, str]) -> None:
        said = [number for number in self._reading.numbers if not self._is_variable(number, slots)]
        known = self._entry.numbers if self._entry else ()
        if sorted(map(str, said)) != sorted(map(str, known)):
            self._against.append(f"its numbers are {_listed(said)}, not {_listed(known)}")

    def _is_variable(self, number: Number, slots: dict[str, str]) -> bool:
        """``set_temp with degrees 60``: the number after the name of one of the task's variables is its value."""
        variables = self._knowledge.numbers_of.get(slots.get("task", ""), ()) if self._changes else ()
        segments = self._reading.said
        for place, segment in enumerate(segments):
            before = segments[place - 1].text if place else ""
            if segment.number is number and before in variables and f"vars.{before}" not in slots:
                slots[f"vars.{before}"] = str(number.value)
                return True
        return False

    def _mood(self) -> None:
        conditional = self._entry.conditional if self._entry else False
        joined = self._entry.joined if self._entry else False
        if self._reading.has("condition") and not conditional:
            (self._against if self._changes else self._unsure).append("it has a condition or a time")
        if self._reading.has("joining") and not joined:
            (self._against if self._changes else self._unsure).append("it says more than one thing")
        if self._changes and (self._reading.has("question") or self._reading.has("whether")):
            self._against.append("it is a question")
        elif self._changes and self._reading.is_question:
            self._unsure.append("it may be a question")

    def _words(self, slots: Mapping[str, str]) -> None:
        """A word that belongs neither to the intent nor to no sentence in particular may change all of it."""
        vocabulary = self._knowledge.vocabularies[self._intent.id]
        own = self._entry.words if self._entry else frozenset()
        variables = {name.removeprefix("vars.") for name in slots}
        unknown = [
            segment.text
            for segment in self._reading.said
            if not (segment.names or segment.number or segment.slot)
            and not (vocabulary.knows(segment.text) or segment.text in own or segment.text in variables)
            and not _made_of(segment.text, own)
        ]
        if unknown and self._changes and not self._says_to_do_it(len(unknown)):
            # As in "hold greet": whatever it is, it is not starting it.
            self._against.append(f"not understood, and nothing says to do it: {', '.join(unknown[:5])}")
        elif unknown and self._how is not How.MODEL:
            # Words that nobody here knows are what a model is asked for.
            self._unsure.append(f"not understood: {', '.join(unknown[:5])}")

    def _says_to_do_it(self, unknown: int) -> bool:
        """A sentence about one task does it with that task's own words, of which most have to stand there."""
        if self._entry is not None and self._is_about_one_task:
            return self._entry.poles - STARTS <= self._reading.poles and unknown * 2 < len(self._reading.said)
        return bool(self._reading.poles & self._intent.poles)


def without_names(reading: Reading, hidden: frozenset[Name]) -> Reading:
    """As somebody reads it to whom some names mean nothing."""
    if not hidden:
        return reading
    segments = tuple(
        replace(one, names=tuple(name for name in one.names if name not in hidden)) if one.names else one
        for one in reading.segments
    )
    return Reading(reading.text, segments)


def closed(reading: Reading) -> str:
    """Why no voice can be right about it, unless some known sentence says the same; empty where one may."""
    if reading.negations:
        return "it has a negation"
    if reading.has("condition"):
        return "it has a condition or a time"
    return "it says more than one thing" if reading.has("joining") else ""


def own_side(intent: Intent) -> bool:
    """Whether the intent is one side of two, so that a sentence has to say which."""
    return bool(intent.poles - STARTS)


def _made_of(text: str, pairs: frozenset[str]) -> bool:
    found = [text[at : at + 2] for at in range(len(text) - 1)]
    return bool(found) and not text.isascii() and all(pair in pairs for pair in found)


def _opposite(pole: str) -> str:
    return pole[:-1] + ("-" if pole.endswith("+") else "+")


def _sides(poles: frozenset[str]) -> str:
    return ", ".join(sorted(poles))


def _listed(numbers: Iterable[Number]) -> str:
    return ", ".join(map(str, numbers)) or "none"
