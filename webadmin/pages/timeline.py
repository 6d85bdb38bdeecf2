"""The steps of a run on one scale of time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from appliance.runs.models import Step
from webadmin.templatetags.millwright import span

WIDTH = 1000
THINNEST = 6


@dataclass(frozen=True, slots=True)
class Bar:
    """One attempt of a step: where its bar begins and how wide it is, of ``WIDTH``."""

    step: Step
    start: int
    width: int
    took: str


def bars(steps: Sequence[Step], now: datetime) -> tuple[list[Bar], str]:
    """The bars of all steps, and the length of the scale in words."""
    if not steps:
        return [], ""
    begin = min(step.started_at for step in steps)
    end = max(_end(step, now) for step in steps)
    total = max((end - begin).total_seconds(), 0.001)
    found = []
    for step in steps:
        start = min(round((step.started_at - begin).total_seconds() / total * WIDTH), WIDTH - THINNEST)
        length = max((_end(step, now) - step.started_at).total_seconds(), 0.0)
        width = min(max(round(length / total * WIDTH), THINNEST), WIDTH - start)
        found.append(Bar(step, start, width, span(length) if step.finished_at else "…"))
    return found, _("%(span)s in all") % {"span": span(total)}


def _end(step: Step, now: datetime) -> datetime:
    return step.finished_at or max(now, step.started_at)
