"""A small student learns from a larger model which intent a sentence has, and is taken only if it is as good.

Nine of ten held-out sentences as the teacher says them, and eight times as fast: both measured here, on this machine.
"""

import json
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from appliance.agent.router.domain import Intent
from appliance.agent.router.interpreting import Asked, Interpreter
from appliance.agent.router.knowledge import Knowledge
from appliance.agent.router.student import NO_INTENT, Student, of_rows
from appliance.inference.embeddings.ngrams import NgramEncoder
from appliance.lib.errors import MillwrightError

AGREEMENT, SPEED = 0.9, 8.0
HELD_OUT = 5
"""One base sentence of so many is kept back, with all its variants: none of them is trained on."""
EPOCHS, RATE, MOMENTUM, DECAY = 300, 8.0, 0.9, 1e-5
FEWEST = 50
_BEFORE = ("please ", "could you ", "now ", "请", "帮我")
_AFTER = (" please", " now", " for me", "吧", "一下")


class NotDistilled(MillwrightError):
    """The labels are too few or of another form, or the student is not good enough."""

    code = "router.not_distilled"


@dataclass(frozen=True, slots=True)
class Labelled:
    """``core`` is what the student sees, names by their type. ``seconds`` is what the teacher took; None: not known."""

    core: str
    intent: str
    held_out: bool
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """On held-out sentences alone. Times are of one sentence: the median of each."""

    sentences: int
    agreement: float
    teacher_ms: float | None
    student_ms: float

    @property
    def speed(self) -> float | None:
        return self.teacher_ms / self.student_ms if self.teacher_ms is not None else None

    @property
    def objection(self) -> str:
        """Why the student is not taken; empty where it is."""
        if self.agreement < AGREEMENT:
            return f"it agrees in {self.agreement:.1%} of {self.sentences} sentences, and {AGREEMENT:.0%} are needed"
        if self.speed is None:
            return "the labels do not say how long the teacher took (ms)"
        if self.speed < SPEED:
            return f"it is {self.speed:.1f} times as fast, and {SPEED:.0f} times are needed"
        return ""


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid")
    text: str = Field(min_length=1, max_length=300)
    intent: str
    ms: float | None = Field(default=None, gt=0)


def sentences(knowledge: Knowledge, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Base sentence and variant, over the box's own commands; ``names`` stand where a sentence has a place for one."""
    for intent in knowledge.intents.values():
        for number, exemplar in enumerate(intent.exemplars):
            said = _filled(exemplar, names[number % len(names)] if names else "greet")
            yield exemplar, said
            chinese = not said.isascii()
            first, last = number % 3 + (2 if chinese else 0), number % 3 + (2 if chinese else 0)
            yield exemplar, f"{_BEFORE[min(first, 4)]}{said}"
            yield exemplar, f"{said}{_AFTER[min(last, 4)]}"


def labels_of(
    interpreter: Interpreter,
    knowledge: Knowledge,
    names: Sequence[str],
    said: Callable[[str], None] = lambda line: None,
) -> list[Labelled]:
    """What the model says of each sentence. Raises MillwrightError where there is no model."""
    intents: list[Intent] = list(knowledge.intents.values())
    found = []
    for base, text in sentences(knowledge, names):
        began = time.perf_counter()
        meaning = interpreter.interpret(Asked(text, intents, list(names)))
        took = time.perf_counter() - began
        label = meaning.intent if meaning is not None else NO_INTENT
        found.append(Labelled(knowledge.read(text).core, label, _is_held_out(base), took))
        said(f"{text}: {label}")
    return found


def labels_in(path: Path, knowledge: Knowledge) -> list[Labelled]:
    """A line of JSON for each sentence: ``text``, ``intent`` (or ``none``) and ``ms``. Raises NotDistilled."""
    found = []
    try:
        lines = path.read_text().splitlines()
    except (OSError, ValueError) as error:
        raise NotDistilled(f"{path} cannot be read: {error}") from error
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        try:
            line = _Line.model_validate(json.loads(text))
        except (ValueError, ValidationError) as error:
            raise NotDistilled(f"{path}, line {number}: {error}") from error
        if line.intent != NO_INTENT and line.intent not in knowledge.intents:
            raise NotDistilled(f"{path}, line {number}: there is no intent {line.intent!r}")
        core = knowledge.read(line.text).core
        took = line.ms / 1000 if line.ms is not None else None
        found.append(Labelled(core, line.intent, _is_held_out(core), took))
    return found


def distil(lines: Sequence[Labelled]) -> tuple[Student, Measured]:
    """Train on one part and measure on the other. Raises NotDistilled where there is too little of either."""
    learnt = [line for line in lines if not line.held_out]
    # A sentence that was trained on is no proof, whatever base it came from.
    known = {line.core for line in learnt}
    kept_back = [line for line in lines if line.held_out and line.core not in known]
    if len(learnt) < FEWEST or len(kept_back) < FEWEST // HELD_OUT:
        raise NotDistilled(
            f"{len(learnt)} sentences to learn from and {len(kept_back)} to measure with are too few",
            hint=f"{FEWEST} and {FEWEST // HELD_OUT} at least",
        )
    student = _train(learnt)
    measured = _measure(student, kept_back)
    about = {
        "agreement": round(measured.agreement, 4),
        "speed": round(measured.speed, 1) if measured.speed is not None else None,
        "sentences": measured.sentences,
        "learnt": len(learnt),
    }
    return of_rows(student.classes, student.weights, student.biases, about), measured


def _train(lines: Sequence[Labelled]) -> Student:
    """Softmax regression by gradient descent over all sentences at once: convex, so the same file every time."""
    import numpy as np  # five MiB and more, for a command alone

    encoder = NgramEncoder()
    classes = sorted({line.intent for line in lines})
    matrix = encoder.encode([line.core for line in lines])
    inputs = np.frombuffer(matrix.values, dtype=np.float32).reshape(matrix.rows, matrix.size)
    used = np.flatnonzero(inputs.any(axis=0))
    inputs = np.ascontiguousarray(inputs[:, used])
    wanted = np.zeros((len(lines), len(classes)), dtype=np.float32)
    wanted[np.arange(len(lines)), [classes.index(line.intent) for line in lines]] = 1
    weights = np.zeros((inputs.shape[1], len(classes)), dtype=np.float32)
    biases = np.zeros(len(classes), dtype=np.float32)
    speed, bias_speed = np.zeros_like(weights), np.zeros_like(biases)
    for _ in range(EPOCHS):
        logits = inputs @ weights + biases
        logits -= logits.max(axis=1, keepdims=True)
        shares = np.exp(logits)
        shares /= shares.sum(axis=1, keepdims=True)
        error = (shares - wanted) / len(lines)
        speed = MOMENTUM * speed - RATE * (inputs.T @ error + DECAY * weights)
        bias_speed = MOMENTUM * bias_speed - RATE * error.sum(axis=0)
        weights += speed
        biases += bias_speed
    whole = np.zeros((len(classes), matrix.size), dtype=np.float32)
    whole[:, used] = weights.T
    return of_rows(classes, whole.tolist(), biases.tolist(), {})


def _measure(student: Student, lines: Sequence[Labelled]) -> Measured:
    took, right = [], 0
    for line in lines:
        began = time.perf_counter()
        right += student.says(line.core) == line.intent
        took.append(time.perf_counter() - began)
    teacher = [line.seconds for line in lines if line.seconds is not None]
    known = len(teacher) == len(lines)
    return Measured(
        len(lines), right / len(lines), _median(teacher) * 1000 if known else None, _median(took) * 1000
    )


def _median(values: Iterable[float]) -> float:
    ordered = sorted(values)
    return ordered[len(ordered) // 2]


def _is_held_out(base: str) -> bool:
    return zlib.crc32(base.encode()) % HELD_OUT == 0


def _filled(exemplar: str, name: str) -> str:
    for slot, value in (
        ("task", name), ("device", "pump-1"), ("topic", "plant/line1/temp"), ("run", "1f2e3d4c"), ("code", "k7q2mx"),
    ):  # fmt: skip
        exemplar = exemplar.replace(f"{{{slot}}}", value)
    return exemplar
