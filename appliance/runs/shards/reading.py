"""What screens, the API and the commands show of shards: a constant number of queries, however many there are."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from appliance.lib.jsontypes import JsonObject
from appliance.runs.domain import RunState, Waiting
from appliance.runs.models import Run, Split
from appliance.runs.shards.split import shard_id

_LIVE = """
SELECT r.split_id, CASE WHEN r.waiting_for = 'ambiguous' THEN 'ambiguous' ELSE r.state END AS kind, count(*)
FROM runs_run r JOIN runs_split s ON s.id = r.split_id
WHERE r.split_id = ANY(%s) AND r.state IN ('queued', 'running', 'waiting') AND r.shard < s.admitted
GROUP BY 1, 2
"""


class Kind(StrEnum):
    """How a list of shards can be narrowed down."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    RUNNING = "running"
    QUEUED = "queued"
    WAITING = "waiting"
    AMBIGUOUS = "ambiguous"
    TURN = "turn"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one split is. ``live`` counts the shards that had their turn and are not done."""

    split: Split
    live: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return self.split.total if self.split.total is not None else self.split.expanded

    @property
    def counts(self) -> dict[Kind, int]:
        """Every kind of shard that there is, in the order in which they are shown."""
        every = {
            Kind.SUCCEEDED: self.split.succeeded,
            Kind.FAILED: self.split.failed,
            Kind.CANCELLED: self.split.cancelled,
            **{Kind(kind): number for kind, number in sorted(self.live.items())},
            Kind.TURN: self.total - self.split.admitted - self.split.ahead,
        }
        return {kind: number for kind, number in every.items() if number}

    def to_json(self) -> JsonObject:
        counts: JsonObject = {kind.value: number for kind, number in self.counts.items()}
        return {
            "step": self.split.step,
            "attempt": self.split.attempt,
            "total": self.total,
            "expanding": self.split.total is None,
            "outcome": self.split.outcome,
            "reason": self.split.reason,
            "counts": counts,
            "taken_over": self.split.taken,
            "taken_from": str(self.split.taken_from) if self.split.taken_from else None,
        }


def progress_of(run_id: UUID) -> list[Progress]:
    """The split steps of a run, in the order in which they began: two queries."""
    splits = list(Split.objects.filter(run_id=run_id).order_by("created_at"))
    if not splits:
        return []
    live: dict[UUID, dict[str, int]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_LIVE, ([split.pk for split in splits],))
        for split_id, kind, number in cursor.fetchall():
            live.setdefault(split_id, {})[kind] = number
    return [Progress(split, live.get(split.pk, {})) for split in splits]


def shards_of(progress: Progress, kind: Kind | None, start: int, size: int) -> tuple[list[Run], int | None]:
    """One page of shards from the number ``start`` on, and where the next begins: one query."""
    split = progress.split
    rows = Run.objects.filter(split_id=split.pk).order_by("shard")
    if kind is None:
        # The identifiers are computed: no index by number is needed for a million rows.
        last = min(start + size + 1, progress.total)
        found = list(rows.filter(pk__in=[shard_id(split.pk, n) for n in range(start, last)]))
    else:
        found = list(_of_kind(rows.filter(shard__gte=start), kind, split.admitted)[: size + 1])
    return found[:size], found[size].shard if len(found) > size else None


def _of_kind(rows: QuerySet[Run], kind: Kind, admitted: int) -> QuerySet[Run]:
    states: Sequence[str] = [kind.value]
    match kind:
        case Kind.FAILED:
            states = [RunState.FAILED, RunState.POISONED, RunState.UNDONE]
        case Kind.WAITING:
            rows = rows.filter(shard__lt=admitted).exclude(waiting_for=Waiting.AMBIGUOUS)
        case Kind.AMBIGUOUS:
            rows = rows.filter(shard__lt=admitted, waiting_for=Waiting.AMBIGUOUS)
            states = [RunState.WAITING]
        case Kind.TURN:
            rows = rows.filter(shard__gte=admitted)
            states = [RunState.WAITING]
    return rows.filter(state__in=states)
