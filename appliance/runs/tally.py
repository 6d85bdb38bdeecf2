"""What a batch of events amounts to, and how it is told: counters by trigger, and the last traces of each."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from appliance.lib.jsontypes import JsonObject
from appliance.lib.plain import plain_object, plain_text
from appliance.runs import holds
from appliance.runs.admission import governed
from appliance.tasks.matching import Armed, Fired, Refused
from appliance.tasks.ports import Admission, NewRun

KEEP_TRACES = 20
"""Did-not-trigger traces kept per trigger."""

COUNT = """
UPDATE tasks_tasktrigger t SET fired = t.fired + n.fired, refused = t.refused + n.refused,
    failed = t.failed + n.failed,
    last_fired_at = CASE WHEN n.fired > 0 THEN %(now)s ELSE t.last_fired_at END
FROM unnest(%(tasks)s::bigint[], %(triggers)s::text[], %(fired)s::int[], %(refused)s::int[], %(failed)s::int[])
    AS n(task_id, trigger, fired, refused, failed)
WHERE t.task_id = n.task_id AND t.trigger = n.trigger
"""
TRACE = """
INSERT INTO tasks_nottriggered (task_id, trigger, at, reason, event)
SELECT * FROM unnest(%(tasks)s::bigint[], %(triggers)s::text[], %(ats)s::timestamptz[], %(reasons)s::text[],
    %(events)s::jsonb[])
"""
PRUNE = """
DELETE FROM tasks_nottriggered WHERE id IN (
    SELECT id FROM (
        SELECT id, row_number() OVER (PARTITION BY task_id, trigger ORDER BY id DESC) AS place
        FROM tasks_nottriggered) ranked
    WHERE place > %(keep)s)
"""


@dataclass(slots=True)
class Batch:
    """What a batch of events amounts to."""

    fired: list[Fired] = field(default_factory=list)
    launched: list[Fired] = field(default_factory=list)
    """Those of them that are performed in the reflex lane."""
    queued: list[Fired] = field(default_factory=list)
    """Those that a worker performs, and that nothing keeps from running at once."""
    refused: list[Refused] = field(default_factory=list)
    held: list[Fired | Refused] = field(default_factory=list)
    """In order: what begins, goes on with or ends a hold."""
    notes: list[Refused] = field(default_factory=list)
    """Traced, but not counted as refused: what became of holds."""

    def take(self, decisions: Sequence[Fired | Refused]) -> None:
        for decision in decisions:
            if holds.waits(decision):
                self.held.append(decision)
            if isinstance(decision, Refused):
                self.refused.append(decision)
            elif not holds.waits(decision):
                self.fired.append(decision)


def beyond_limit(fired: Sequence[Fired], admissions: Sequence[Admission]) -> list[Refused]:
    """What the limit of its task left alone: counted and traced as what a ``when`` refused, never a row each."""
    return [
        Refused(one.armed, admission.reason, plain_object(one.inputs))
        for one, admission in zip(fired, admissions, strict=True)
        if admission.limited
    ]


Counts = dict[tuple[int, str], list[int]]
"""Fired, refused and failed by task and trigger."""


def counts_of(batch: Batch) -> Counts:
    """What is known before admission; of tasks with a limit or overlap it says later what fired."""
    counts: Counts = {}

    def of(armed: Armed) -> list[int]:
        return counts.setdefault((armed.task_id, armed.trigger.id or ""), [0, 0, 0])

    for fired in (*batch.fired, *batch.launched, *batch.queued):
        of(fired.armed)[0] += not governed(fired.armed.definition)
    for refused in batch.refused:
        of(refused.armed)[2 if refused.failed else 1] += 1
    return counts


def late_counts(runs: Sequence[NewRun], beyond: Sequence[Refused]) -> Counts:
    """What admission decided."""
    counts: Counts = {}
    for run in runs:
        if governed(run.definition):
            counts.setdefault((run.task_id, run.trigger), [0, 0, 0])[0] += 1
    for one in beyond:
        key = (one.armed.task_id, one.armed.trigger.id or "")
        counts.setdefault(key, [0, 0, 0])[2 if one.failed else 1] += 1
    return counts


def counter_rows(batch: Batch, now: datetime) -> list[JsonObject]:
    """The same as rows for the reflex lane's commit."""
    at = now.isoformat()
    return [
        {"task_id": task, "trigger": trigger, "fired": f, "refused": r, "failed": e, "at": at}
        for (task, trigger), (f, r, e) in sorted(counts_of(batch).items())
    ]


def counters(counts: Counts, now: datetime) -> dict[str, Any]:
    keys = sorted(counts)
    return {
        "now": now,
        "tasks": [key[0] for key in keys],
        "triggers": [key[1] for key in keys],
        "fired": [counts[key][0] for key in keys],
        "refused": [counts[key][1] for key in keys],
        "failed": [counts[key][2] for key in keys],
    }


def traces(refused: Sequence[Refused], now: datetime) -> dict[str, Any]:
    """The last few of the batch per trigger: never a row per event."""
    last: dict[tuple[int, str], list[Refused]] = {}
    for item in refused:
        kept = last.setdefault((item.armed.task_id, item.armed.trigger.id or ""), [])
        kept.append(item)
        del kept[:-KEEP_TRACES]
    rows = [item for items in last.values() for item in items]
    return {
        "tasks": [item.armed.task_id for item in rows],
        "triggers": [item.armed.trigger.id or "" for item in rows],
        "ats": [now for _ in rows],
        "reasons": [plain_text(item.reason) for item in rows],
        "events": [Jsonb(plain_object(item.event)) for item in rows],
    }
