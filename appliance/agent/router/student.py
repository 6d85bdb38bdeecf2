"""A small student of a larger model: a linear softmax over hashed features, asked in plain Python.

The file: one line of JSON (form, classes, bits, what was measured), then float16 weights, class by class, and biases.
"""

import hashlib
import json
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import exp
from pathlib import Path
from typing import Any

from appliance.agent.router.domain import How, Meaning, Proposal
from appliance.agent.router.features import BITS, SCHEME, features
from appliance.agent.router.interpreting import NO_INTENT
from appliance.agent.router.reading import Reading
from appliance.inference.embeddings.vectors import packed, unpacked
from appliance.lib.atomic import write_atomically
from appliance.lib.errors import MillwrightError

FORM = "millwright-student/2"
FOLDER = "router"
"""Below the home's data."""
POINTER = "student.json"
SURE = 0.6
"""Probability below which a student says nothing."""


class StudentUnreadable(MillwrightError):
    code = "router.student_unreadable"


@dataclass(frozen=True)
class Student:
    """``weights`` are classes times dimensions, ``biases`` one for each class; ``measured`` says why it was taken."""

    classes: tuple[str, ...]
    weights: tuple["array[float]", ...]
    biases: "array[float]"
    measured: dict[str, Any]
    digest: str = ""

    def probabilities(self, reading: Reading) -> list[tuple[str, float]]:
        """Every class, the most likely first."""
        found = features(reading)
        logits = [
            bias + sum(weights[place] * weight for place, weight in found.items())
            for weights, bias in zip(self.weights, self.biases, strict=True)
        ]
        top = max(logits)
        powers = [exp(logit - top) for logit in logits]
        total = sum(powers)
        shares = [(name, power / total) for name, power in zip(self.classes, powers, strict=True)]
        return sorted(shares, key=lambda one: -one[1])

    def says(self, reading: Reading) -> str:
        return self.probabilities(reading)[0][0]

    def propose(self, reading: Reading) -> Iterable[Proposal]:
        """One more proposal for the router, which checks it as any other."""
        name, probability = self.probabilities(reading)[0]
        if name != NO_INTENT and probability >= SURE:
            yield Proposal(Meaning(name), How.STUDENT, probability)


def save(student: Student, folder: Path) -> Path:
    """Write it under its digest, and let the pointer beside it name it; both whole or not at all."""
    head = {
        "form": FORM,
        "scheme": SCHEME,
        "bits": BITS,
        "classes": list(student.classes),
        "measured": student.measured,
    }
    body = b"".join(packed(row) for row in (*student.weights, student.biases))
    content = json.dumps(head, ensure_ascii=False).encode() + b"\n" + body
    digest = hashlib.sha256(content).hexdigest()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"student-{digest[:12]}.bin"
    write_atomically(path, content)
    pointer = {"file": path.name, "digest": digest}
    write_atomically(folder / POINTER, json.dumps(pointer).encode())
    return path


def installed(folder: Path) -> Student | None:
    """The one that the pointer names; None where there is none. Raises StudentUnreadable."""
    pointer = folder / POINTER
    if not pointer.exists():
        return None
    try:
        named = json.loads(pointer.read_bytes())
        return load(folder / Path(str(named["file"])).name, str(named["digest"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StudentUnreadable(f"{pointer} names no student: {error}") from error


def load(path: Path, digest: str = "") -> Student:
    """Raises StudentUnreadable: for another form or n-gram scheme, a cut file, or another digest than ``digest``."""
    try:
        content = path.read_bytes()
        line, _, body = content.partition(b"\n")
        head = json.loads(line)
        classes = tuple(str(one) for one in head["classes"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StudentUnreadable(f"{path} is no student: {error}") from error
    found = hashlib.sha256(content).hexdigest()
    if digest and digest != found:
        raise StudentUnreadable(f"{path} is another student than the pinned one")
    if (head.get("form"), head.get("scheme"), head.get("bits")) != (FORM, SCHEME, BITS):
        raise StudentUnreadable(f"{path} was made for another version", hint="make it anew: manage.py distil")
    size = 2 * (1 << BITS)
    if len(body) != size * len(classes) + 2 * len(classes):
        raise StudentUnreadable(f"{path} is cut off")
    rows = tuple(array("f", unpacked(body[at : at + size])) for at in range(0, size * len(classes), size))
    return Student(classes, rows, array("f", unpacked(body[size * len(classes) :])), head["measured"], found)


def of_rows(
    classes: Sequence[str],
    weights: Iterable[Sequence[float]],
    biases: Sequence[float],
    measured: dict[str, Any],
) -> Student:
    return Student(tuple(classes), tuple(array("f", row) for row in weights), array("f", biases), measured)
