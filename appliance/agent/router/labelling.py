"""The sentences that a student learns from and is measured with, and what a teacher says of each.

Sentences are parted by family: those made of the same words in whatever order. A family is learnt from or
measured with, never both, and what is made up beside the box's own sentences is for learning alone.
"""

import json
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from appliance.agent.router.domain import Effect, Intent
from appliance.agent.router.interpreting import NO_INTENT, Asked, Interpreter
from appliance.agent.router.knowledge import Knowledge
from appliance.agent.router.lexicon import lexicon, load_data
from appliance.agent.router.reading import Reading, spelling
from appliance.inference.embeddings.normalising import is_chinese
from appliance.lib.errors import MillwrightError

HELD_OUT = 5
"""One family of so many is kept back."""
MOST_LINES = 4000
OF_A_PATTERN = 8
"""Sentences made of one pattern in one language."""
_NOT = (("don't {}", "do not {}", "never {}", "please don't {}"), ("不要{}", "别{}", "请勿{}", "先不要{}"))
_PLACES = {"device": "pump-1", "topic": "plant/line1/temp", "run": "1f2e3d4c", "code": "k7q2mx"}


class NotDistilled(MillwrightError):
    """The labels are too few or of another form, or the student is not good enough."""

    code = "router.not_distilled"


@dataclass(frozen=True, slots=True)
class Sentence:
    """``meant``: the intent that the box knows it to have, or ``none``; ``made_up``: never measured with."""

    text: str
    meant: str
    made_up: bool = False


@dataclass(frozen=True, slots=True)
class Labelled:
    """``seconds`` is what the teacher took, None: not known. ``meant`` is empty where the box itself does not know."""

    reading: Reading
    intent: str
    held_out: bool
    seconds: float | None = None
    meant: str = ""

    @property
    def is_chinese(self) -> bool:
        return any(map(is_chinese, self.reading.core))


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid")
    text: str = Field(min_length=1, max_length=300)
    intent: str
    ms: float | None = Field(default=None, gt=0)


def sentences(knowledge: Knowledge, names: Sequence[str]) -> Iterator[Sentence]:
    """The box's own, what is made of its patterns, negated commands, and what means nothing.

    ``names`` of tasks stand where a sentence has a place for one.
    """
    more = load_data("paraphrases.yaml")
    for intent in knowledge.intents.values():
        for number, exemplar in enumerate((*intent.exemplars, *_parted(more[intent.id]))):
            said = _filled(exemplar, names, number)
            yield Sentence(said, intent.id)
            if intent.effect is Effect.CHANGE:
                negated = _NOT[any(map(is_chinese, exemplar))][number % 4]
                yield Sentence(negated.format(said), NO_INTENT, made_up=True)
        for number, text in enumerate(_of_patterns(intent)):
            yield Sentence(_filled(text, names, number), intent.id, made_up=True)
    for block in load_data("nothing.yaml"):
        for text in _parted(block):
            yield Sentence(text, NO_INTENT)


def labels_of(
    interpreter: Interpreter,
    knowledge: Knowledge,
    names: Sequence[str],
    said: Callable[[str], None] = lambda line: None,
) -> list[Labelled]:
    """What the model says of each sentence. Raises MillwrightError where there is no model."""
    intents: list[Intent] = list(knowledge.intents.values())
    found: dict[str, Labelled] = {}
    known = list(sentences(knowledge, names))
    kept_back = {family(r) for s in known if not s.made_up and is_held_out(r := knowledge.read(s.text))}
    for one in known:
        reading = knowledge.read(one.text)
        held_out = family(reading) in kept_back
        if reading.core in found or (held_out and one.made_up):
            continue
        began = time.perf_counter()
        meaning = interpreter.interpret(Asked(one.text, intents, list(names)))
        took = time.perf_counter() - began
        label = meaning.intent if meaning is not None else NO_INTENT
        found[reading.core] = Labelled(reading, label, held_out, took, one.meant)
        said(f"{one.text}: {label}")
    return list(found.values())


def labels_in(path: Path, knowledge: Knowledge) -> list[Labelled]:
    """A line of JSON for each sentence: ``text``, ``intent`` (or ``none``) and ``ms``. Raises NotDistilled."""
    found = []
    try:
        with path.open() as file:
            lines = list(islice(file, MOST_LINES + 1))
    except (OSError, ValueError) as error:
        raise NotDistilled(f"{path} cannot be read: {error}") from error
    if len(lines) > MOST_LINES:
        raise NotDistilled(f"{path} has more than {MOST_LINES} lines")
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        try:
            line = _Line.model_validate(json.loads(text))
        except (ValueError, ValidationError) as error:
            raise NotDistilled(f"{path}, line {number}: {error}") from error
        if line.intent != NO_INTENT and line.intent not in knowledge.intents:
            raise NotDistilled(f"{path}, line {number}: there is no intent {line.intent!r}")
        reading = knowledge.read(line.text)
        took = line.ms / 1000 if line.ms is not None else None
        found.append(Labelled(reading, line.intent, is_held_out(reading), took, _meant(reading, knowledge)))
    return found


def family(reading: Reading) -> str:
    """The same for two sentences that are made of the same words."""
    return " ".join(sorted({one.masked for one in reading.said}))


def is_held_out(reading: Reading) -> bool:
    return zlib.crc32(family(reading).encode()) % HELD_OUT == 0


def _meant(reading: Reading, knowledge: Knowledge) -> str:
    """The intent of a sentence that is the box's own; empty for any other."""
    places = knowledge.exact.get(reading.masked, ())
    return knowledge.entries[places[0]].meaning.intent if len(places) == 1 else ""


def _of_patterns(intent: Intent) -> Iterator[str]:
    """``SHOW TASKS``: some word of the one class and some word of the other, in one language."""
    by_class: dict[tuple[str, bool], list[str]] = {}
    for words, word in lexicon().words.known.items():
        for one in word.classes:
            by_class.setdefault((one, is_chinese(words[0])), []).append(spelling(words))
    for pattern in intent.patterns:
        parts = [part.removesuffix("?") for part in pattern.split()]
        for chinese in (False, True):
            choices = [[part] if part[0] == "{" else by_class.get((part, chinese), []) for part in parts]
            if not all(choices) or all(len(one) == 1 for one in choices):
                continue
            for number in range(OF_A_PATTERN):
                # Steps without a common factor go through all pairs before one comes again.
                said = [one[(number * (2 * at + 1) + at) % len(one)] for at, one in enumerate(choices)]
                yield " ".join(said)


def _parted(block: str) -> Iterator[str]:
    return (" ".join(text.split()) for text in block.split(";"))


def _filled(text: str, names: Sequence[str], number: int) -> str:
    text = text.replace("{task}", names[number % len(names)] if names else "greet")
    for slot, value in _PLACES.items():
        text = text.replace(f"{{{slot}}}", value)
    return text
