"""The part of a run's page that shows its shards: a bar for each split step, and one page of a list."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.http import QueryDict

from appliance.runs.models import Run
from appliance.runs.shards.reading import Kind, Progress, shards_of
from webadmin.pages.paging import PAGE, number_key

WIDTH = 1000


@dataclass(frozen=True, slots=True)
class Part:
    """One kind of shard: how many, and where its piece of the bar begins and how wide it is, of ``WIDTH``."""

    kind: Kind
    number: int
    start: int
    width: int


@dataclass(frozen=True, slots=True)
class SplitView:
    """One split step. ``shards`` is filled for the one whose list is shown."""

    progress: Progress
    parts: list[Part]
    shown: bool
    kind: Kind | None
    shards: list[Run]
    next: int | None

    @property
    def asking(self) -> int:
        return self.progress.counts.get(Kind.AMBIGUOUS, 0)

    @property
    def ended(self) -> int:
        split = self.progress.split
        return split.succeeded + split.failed + split.cancelled


def split_views(found: Sequence[Progress], asked: QueryDict) -> list[SplitView]:
    """Every split step of a run; the list of one, ``?split=``, narrowed by ``?shards=``, from ``?after=`` on.

    One query where there is any.
    """
    known = [one.split.step for one in found]
    chosen = asked.get("split") if asked.get("split") in known else (known or [""])[-1]
    wanted = str(asked.get("shards", ""))
    kind = Kind(wanted) if wanted in set(Kind) else None
    start = number_key(asked.get("after", "")) or 0
    views = []
    for progress in found:
        shown = progress.split.step == chosen
        rows, following = shards_of(progress, kind, start, PAGE) if shown else ([], None)
        views.append(SplitView(progress, parts_of(progress), shown, kind if shown else None, rows, following))
    return views


def parts_of(progress: Progress) -> list[Part]:
    """The pieces of the bar, one after another; the shards whose turn never came yet are its empty rest."""
    parts, start = [], 0.0
    for kind, number in progress.counts.items():
        width = number / max(progress.total, 1) * WIDTH
        parts.append(Part(kind, number, round(start), max(round(width), 3)))
        start += width
    return parts
