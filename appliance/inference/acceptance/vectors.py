"""An encoder: vectors of one size, finite, and nearer to each other where the texts mean the same."""

import math
from typing import Any

from appliance.inference.acceptance.domain import Bound, Check, Result, Subject, Unit
from appliance.inference.acceptance.engine import EngineRefused
from appliance.lib.said import say

NAME = "vectors"
LEAST_SIZE = 8
_LARGEST, _SHORTEST = 1e100, 1e-100
"""Beyond these a cosine is no number any more."""
TRIPLES = (
    ("the pump in hall 3 is running", "the pump in hall 3 runs", "invoice no. 9,431: EUR 72.10, due in May"),
    ("restart the night report", "start the night report again", "OIL PRESSURE 4.2 BAR @ 71 C"),
    ("who is on shift today?", "who is on the shift today?", '{"rpm": 1480, "load": 0.83}'),
)
"""A text, one that means nearly the same, and one that does not."""


async def run(subject: Subject) -> Result:
    try:
        found = await subject.engine.vectors([text for triple in TRIPLES for text in triple])
    except EngineRefused as error:
        return _result(0.0, error.message[:300], failed=True)
    if fault := _fault(found):
        return _result(0.0, fault, failed=True)
    margins = [
        _cosine(found[at], found[at + 1]) - _cosine(found[at], found[at + 2])
        for at in range(0, len(found), 3)
    ]
    worst = min(margins)
    if worst <= 0:
        return _result(worst, say("texts that mean the same are not nearer than others"), failed=True)
    return _result(worst, say("vectors of %(size)d numbers; what is near is nearer", size=len(found[0])))


def _fault(found: list[Any]) -> str:
    if len(found) != 3 * len(TRIPLES) or not all(isinstance(one, list) for one in found):
        return say("it gives %(given)d vectors for %(asked)d texts", given=len(found), asked=3 * len(TRIPLES))
    sizes = {len(one) for one in found}
    if len(sizes) != 1 or min(sizes) < LEAST_SIZE:
        listed = ", ".join(map(str, sorted(sizes)[:5]))
        return say("its vectors have %(sizes)s numbers", sizes=listed)
    numbers = [number for one in found for number in one]
    # NaN is not less than anything, and a whole number may be greater than every float.
    if not all(isinstance(one, int | float) and -_LARGEST < one < _LARGEST for one in numbers):
        return say("there is something in its vectors that is no finite number")
    if not all(math.hypot(*one) > _SHORTEST for one in found):
        return say("one of its vectors has no direction")
    return ""


def _cosine(one: list[float], other: list[float]) -> float:
    return math.fsum(a * b for a, b in zip(one, other, strict=True)) / (math.hypot(*one) * math.hypot(*other))


def _result(figure: float, detail: str, *, failed: bool = False) -> Result:
    return Result(NAME, figure, 0.0, Bound.AT_LEAST, Unit.DISTANCE, detail, failed=failed)


CHECK = Check(NAME, lambda subject: subject.manifest.embeddings, run)
