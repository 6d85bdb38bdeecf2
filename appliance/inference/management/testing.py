"""The tests of a model, for whoever sits before a terminal."""

import sys
import time
from collections.abc import Iterator

from appliance.inference.domain import CandidateState
from appliance.inference.errors import ModelRefused
from appliance.inference.models import Acceptance, Candidate, ServedModel

_EVERY = 0.5


def newest_try(name: str) -> int:
    """The number of the last one, before another is asked for; 0: there is none."""
    last = Acceptance.objects.filter(model=name).first()
    return last.pk if last else 0


def until_judged(candidate: Candidate, after: int, *, quiet: bool) -> ServedModel:
    """Wait, and say what was found as it comes, of tries later than ``after``. Raises ModelRefused where it did not
    pass, or was dropped."""
    tries = Acceptance.objects.filter(model=candidate.name, digest=candidate.digest, pk__gt=after)
    shown, told = 0, 0
    while True:
        now = Candidate.objects.filter(name=candidate.name).first()
        last = tries.first()
        if not quiet and last is not None:
            # A keeper that was killed begins again.
            shown, told = last.pk, told if last.pk == shown else 0
            for line in list(result_lines(last))[told:]:
                print(line, file=sys.stderr, flush=True)
                told += 1
        if now is None or now.digest != candidate.digest:
            break
        if now.state == CandidateState.REFUSED:
            raise ModelRefused(
                f"{now} does not go live: {now.reason}", hint=f"manage.py models accept {now.name}"
            )
        time.sleep(_EVERY)
    row = ServedModel.objects.filter(name=candidate.name, digest=candidate.digest).first()
    if row is None or not tries.filter(passed=True).exists():
        raise ModelRefused(f"somebody has dropped {candidate}, or put another one in its place")
    return row


def result_lines(one: Acceptance) -> Iterator[str]:
    """A line for each test."""
    for found in one.results:
        sign = "<=" if found["bound"] == "at_most" else ">="
        word = "passed" if found["passed"] else "FAILED"
        figures = f"{found['figure']:g} {sign} {found['limit']:g} {found['unit']}"
        yield f"  {found['name']:<12} {word:<7} {figures:<24} {found['seconds']:6.1f} s  {found['detail']}"
