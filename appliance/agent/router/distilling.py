"""A small student learns from a larger model which intent a sentence has, and is taken only if it is as good.

Nine of ten held-out sentences as the teacher says them, and eight times as fast: both measured here, on this machine.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

from appliance.agent.router.features import SIZE, features
from appliance.agent.router.interpreting import NO_INTENT
from appliance.agent.router.labelling import HELD_OUT, Labelled, NotDistilled
from appliance.agent.router.student import SURE, Student, of_rows

AGREEMENT, SPEED = 0.9, 8.0
EPOCHS, RATE, MOMENTUM, DECAY = 150, 8.0, 0.9, 1e-5
NOTHING = 0.5
"""How much a sentence that means nothing weighs beside the others: there are many, and no two are about one thing."""
LONGEST = 45.0
"""Seconds of training; what was learnt by then is measured like any other."""
FEWEST = 50
_Z = 1.96


@dataclass(frozen=True, slots=True)
class Share:
    """How many of how many."""

    right: int
    of: int

    @property
    def value(self) -> float:
        return self.right / self.of if self.of else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """In which the share of all such sentences lies with 95 % confidence (Wilson)."""
        if not self.of:
            return 0.0, 1.0
        share, square = self.value, _Z * _Z / self.of
        middle = (share + square / 2) / (1 + square)
        half = _Z / (1 + square) * sqrt(share * (1 - share) / self.of + square / (4 * self.of))
        return max(0.0, middle - half), min(1.0, middle + half)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:.1%} of {self.of} (95 % confidence: {low:.0%} to {high:.0%})"


@dataclass(frozen=True, slots=True)
class Measured:
    """Agreement is on held-out sentences alone, each counted once. Times are of one sentence: the median of each.

    ``teacher``: how often the teacher says what the box knows to be meant. ``sure``: of what the student is sure enough
    of to propose it.
    """

    english: Share
    chinese: Share
    teacher_ms: float | None
    student_ms: float
    teacher: Share = Share(0, 0)
    sure: Share = Share(0, 0)
    learnt: int = 0
    seconds: float = 0.0

    @property
    def all(self) -> Share:
        return Share(self.english.right + self.chinese.right, self.english.of + self.chinese.of)

    @property
    def speed(self) -> float | None:
        return self.teacher_ms / self.student_ms if self.teacher_ms is not None else None

    @property
    def objection(self) -> str:
        """Why the student is not taken; empty where it is."""
        if self.teacher.of and self.teacher.value < AGREEMENT:
            return f"the teacher itself is right in {self.teacher} of the box's own sentences"
        for name, share in (("all", self.all), ("English", self.english), ("Chinese", self.chinese)):
            if share.of and share.value < AGREEMENT:
                return f"it agrees in {share} sentences ({name}), and {AGREEMENT:.0%} are needed"
        if self.speed is None:
            return "the labels do not say how long the teacher took (ms)"
        if self.speed < SPEED:
            return f"it is {self.speed:.1f} times as fast, and {SPEED:.0f} times are needed"
        return ""

    def to_json(self) -> dict[str, Any]:
        """As the student's file keeps it."""
        return {
            "agreement": round(self.all.value, 4),
            "english": [self.english.right, self.english.of],
            "chinese": [self.chinese.right, self.chinese.of],
            "speed": round(self.speed, 1) if self.speed is not None else None,
            "learnt": self.learnt,
        }


def distil(lines: Sequence[Labelled]) -> tuple[Student, Measured]:
    """Train on one part and measure on the other. Raises NotDistilled where there is too little of either."""
    learnt = [line for line in lines if not line.held_out]
    # A sentence that was trained on is no proof, whatever family it came from; twice the same is one.
    known = {line.reading.core for line in learnt}
    kept_back = {
        line.reading.core: line for line in lines if line.held_out and line.reading.core not in known
    }
    if len(learnt) < FEWEST or len(kept_back) < FEWEST // HELD_OUT:
        raise NotDistilled(
            f"{len(learnt)} sentences to learn from and {len(kept_back)} to measure with are too few",
            hint=f"{FEWEST} and {FEWEST // HELD_OUT} at least",
        )
    began = time.perf_counter()
    student = _train(learnt)
    took = time.perf_counter() - began
    measured = _measure(student, list(kept_back.values()), lines, len(learnt), took)
    return of_rows(student.classes, student.weights, student.biases, measured.to_json()), measured


def _train(lines: Sequence[Labelled]) -> Student:
    """Softmax regression by gradient descent over all sentences at once: convex, so the same file every time."""
    import numpy as np  # five MiB and more, for a command alone

    classes = sorted({line.intent for line in lines})
    inputs = np.zeros((len(lines), SIZE), dtype=np.float32)
    for row, line in enumerate(lines):
        found = features(line.reading)
        inputs[row, list(found)] = list(found.values())
    used = np.flatnonzero(inputs.any(axis=0))
    inputs = np.ascontiguousarray(inputs[:, used])
    labels = np.array([classes.index(line.intent) for line in lines])
    wanted = np.zeros((len(lines), len(classes)), dtype=np.float32)
    wanted[np.arange(len(lines)), labels] = 1
    # A class with few sentences counts for more than its number, and for less than all others.
    counts = np.bincount(labels, minlength=len(classes)).astype(np.float32)
    of_class = [(NOTHING if name == NO_INTENT else 1.0) for name in classes] / np.sqrt(counts)
    each = of_class.astype(np.float32)[labels][:, None]
    each /= each.sum()
    weights = np.zeros((inputs.shape[1], len(classes)), dtype=np.float32)
    biases = np.zeros(len(classes), dtype=np.float32)
    speed, bias_speed = np.zeros_like(weights), np.zeros_like(biases)
    until = time.monotonic() + LONGEST
    for _ in range(EPOCHS):
        if time.monotonic() > until:
            break
        logits = inputs @ weights + biases
        logits -= logits.max(axis=1, keepdims=True)
        shares = np.exp(logits)
        shares /= shares.sum(axis=1, keepdims=True)
        error = (shares - wanted) * each
        speed = MOMENTUM * speed - RATE * (inputs.T @ error + DECAY * weights)
        bias_speed = MOMENTUM * bias_speed - RATE * error.sum(axis=0)
        weights += speed
        biases += bias_speed
    whole = np.zeros((len(classes), SIZE), dtype=np.float32)
    whole[:, used] = weights.T
    return of_rows(classes, whole.tolist(), biases.tolist(), {})


def _measure(
    student: Student, kept_back: Sequence[Labelled], lines: Sequence[Labelled], learnt: int, seconds: float
) -> Measured:
    took, said = [], []
    for line in kept_back:
        began = time.perf_counter()
        said.append(student.probabilities(line.reading)[0])
        took.append(time.perf_counter() - began)
    pairs = list(zip(kept_back, said, strict=True))
    sure = [(line, name) for line, (name, share) in pairs if share >= SURE]
    teacher = [line.seconds for line in kept_back if line.seconds is not None]
    told = [line for line in lines if line.meant]
    return Measured(
        english=_share((line.intent == name) for line, (name, _) in pairs if not line.is_chinese),
        chinese=_share((line.intent == name) for line, (name, _) in pairs if line.is_chinese),
        teacher_ms=_median(teacher) * 1000 if len(teacher) == len(kept_back) else None,
        student_ms=_median(took) * 1000,
        teacher=_share(line.intent == line.meant for line in told),
        sure=Share(sum(line.intent == name for line, name in sure), len(sure)),
        learnt=learnt,
        seconds=seconds,
    )


def _share(right: Iterable[bool]) -> Share:
    found = list(right)
    return Share(sum(found), len(found))


def _median(values: Iterable[float]) -> float:
    ordered = sorted(values)
    return ordered[len(ordered) // 2]
