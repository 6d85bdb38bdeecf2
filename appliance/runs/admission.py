"""Whether what was triggered may run now: the task's ``limit``, then its ``overlap``. Every origin passes here.

The limit comes first, and counts what passes it, also what ``overlap`` then skips: a flood writes neither runs
nor occurrences. All decisions of one task are made under one lock until their commit, so that two processes
never both find the place free; a unique index on the holder of each key stands behind it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from appliance.audit.sql_kept import LATER
from appliance.events import RunChanged
from appliance.events.journal import columns
from appliance.events.sql import RECORD
from appliance.expressions import ExpressionError, StateNeeded
from appliance.lib.digest import canonical_json, sha256_hex
from appliance.lib.jsontypes import JsonObject
from appliance.runs import admission_sql as lines
from appliance.runs import sql
from appliance.runs.asking import Ask, Asking, Tell
from appliance.runs.called import end_living
from appliance.runs.changes import run_changed
from appliance.runs.domain import RunState
from appliance.tasks.definition import OverlapPolicy, TaskDefinition
from appliance.tasks.matching import event_scope
from appliance.tasks.models import OccurrenceState
from appliance.tasks.ports import Admission, NewRun

LONGEST_KEY = 200
ADMITTED = Admission(OccurrenceState.FIRED)


def governed(definition: TaskDefinition) -> bool:
    """Whether admission has anything to say about this task; others run at once."""
    overlap = definition.overlap
    return definition.limit is not None or (overlap is not None and overlap.policy is not OverlapPolicy.ALLOW)


def admit(wanted: Sequence[NewRun]) -> Asking[list[Admission]]:
    """Decide for each, in order, in the transaction that then inserts those that run.

    A run that ``waits`` is inserted and then held back (``admission_sql.HOLD_BACK``).
    """
    decided = dict.fromkeys(range(len(wanted)), ADMITTED)
    by_task: dict[int, list[int]] = {}
    for index, new in enumerate(wanted):
        if new.in_turn or governed(new.definition):
            by_task.setdefault(new.task_id, []).append(index)
    for task_id in sorted(by_task):
        indexes = by_task[task_id]
        yield Tell(lines.LOCK_TASK, {"task_id": task_id})
        found = yield from _of_task(task_id, [wanted[index] for index in indexes])
        decided.update(zip(indexes, found, strict=True))
    return [decided[index] for index in range(len(wanted))]


def _of_task(task_id: int, wanted: Sequence[NewRun]) -> Asking[list[Admission]]:
    decided = yield from _within_limit(task_id, wanted)
    keys: dict[str, list[int]] = {}
    for index, new in enumerate(wanted):
        if not decided[index].runs or _policy(new) is OverlapPolicy.ALLOW:
            continue
        try:
            keys.setdefault(turn_key(new), []).append(index)
        except (ExpressionError, StateNeeded) as error:
            decided[index] = Admission(OccurrenceState.SUPPRESSED, f"overlap.key: {error}")
    if keys:
        values = {"task_id": task_id, "keys": sorted(keys)}
        yield Tell(lines.LEAVE_LINE, values)
        standing: dict[str, list[_Place]] = {}
        for key, run_id, holding in (yield Ask(lines.LINE, values)):
            standing.setdefault(key, []).append(_Place(run_id, holding))
        for key, indexes in keys.items():
            line = standing.get(key, [])
            for index in indexes:
                last = index == indexes[-1]
                decided[index] = yield from _in_line(wanted[index], key, line, last=last)
    return decided


def _within_limit(task_id: int, wanted: Sequence[NewRun]) -> Asking[list[Admission]]:
    limit = wanted[-1].definition.limit
    if limit is None:
        return [ADMITTED] * len(wanted)
    rows = yield Ask(lines.RATE, {"task_id": task_id, "per": limit.per})
    taken = min(len(wanted), max(0, limit.runs - int(rows[0][0])))
    beyond = len(wanted) - taken
    values = {"task_id": task_id, "per": limit.per, "taken": taken, "suppressed": beyond}
    yield Tell(lines.TAKE_RATE, values)
    refused = Admission(OccurrenceState.SUPPRESSED, f"beyond the task's limit of {limit}", limited=True)
    return [ADMITTED] * taken + [refused] * beyond


@dataclass(frozen=True, slots=True)
class _Place:
    run_id: UUID
    holding: bool


def _policy(new: NewRun) -> OverlapPolicy:
    """Runs that make up for missed times come one after another, whatever else the task says."""
    if new.in_turn:
        return OverlapPolicy.QUEUE
    overlap = new.definition.overlap
    return overlap.policy if overlap else OverlapPolicy.ALLOW


def turn_key(new: NewRun) -> str:
    """The key under which this run waits for others of its task. Raises ExpressionError and StateNeeded."""
    overlap = new.definition.overlap
    if overlap is None or overlap.key is None:
        return ""
    value = overlap.key.render(event_scope(new.definition, new.inputs, new.wanted_at))
    text = value if isinstance(value, str) else canonical_json(value).decode()
    return text if len(text) <= LONGEST_KEY else sha256_hex(text.encode())


def _in_line(new: NewRun, key: str, line: list[_Place], *, last: bool) -> Asking[Admission]:
    """Decide for one run, and let it stand in ``line`` where it runs or waits."""
    policy, reason = _policy(new), ""
    if policy is OverlapPolicy.CANCEL_PREVIOUS and not last:
        return Admission(OccurrenceState.SKIPPED, "a newer one came at the same moment")
    if line and policy is OverlapPolicy.SKIP:
        return Admission(OccurrenceState.SKIPPED, f"run {line[0].run_id} of the same key has not ended")
    if line and policy is OverlapPolicy.QUEUE:
        waiting = sum(not place.holding for place in line)
        most = new.definition.overlap.most if new.definition.overlap else waiting + 1
        if waiting >= most and not new.in_turn:
            return Admission(OccurrenceState.SUPPRESSED, f"{waiting} runs wait for this key already")
        reason = f"waits for its turn behind {len(line)} run(s)"
    if line and policy is OverlapPolicy.CANCEL_PREVIOUS:
        yield from _supersede(new, line)
        reason = f"waits until run {line[0].run_id} has ended" if line else ""
    place = _Place(new.id, not line)
    values = {"run_id": new.id, "task_id": new.task_id, "key": key, "holding": place.holding}
    yield Tell(lines.JOIN_LINE, values)
    line.append(place)
    return Admission(OccurrenceState.FIRED, reason, waits=not place.holding)


def _supersede(new: NewRun, line: list[_Place]) -> Asking[None]:
    """End all before it: at once where nobody works on them; who is at work is told, and keeps its place."""
    reason = f"cancelled: run {new.id} of the same key took its place"
    for place in list(line):
        # What it called is locked before it, as everywhere: a run that ends locks itself, then wakes its caller.
        living = [row[0] for row in (yield Ask(sql.LOCK_CALLED, {"id": place.run_id}))]
        values = {"id": place.run_id, "state": RunState.CANCELLED.value, "reason": reason}
        ended = yield Ask(sql.END_WITHOUT_LEASE, values)
        yield Tell(LATER, _on_record(new, place.run_id))
        if not ended:
            yield Tell(sql.REQUEST_CANCEL, values)
            continue
        if living:
            yield from end_living(place.run_id, living, reason)
        if ended[0][2] is not None:
            yield Tell(sql.WAKE_CALLER, {"id": ended[0][2]})
        yield Tell(sql.END_STEPS, {"ids": [place.run_id]})
        yield Tell(lines.STAND_BACK, {"run_id": place.run_id})
        yield Tell(RECORD, columns([_cancelled(new, place.run_id, reason)]))
        line.remove(place)


def _on_record(new: NewRun, run_id: UUID) -> dict[str, Any]:
    """As for every other run that is ended from outside; left for later, because more is locked after this."""
    detail: JsonObject = {"task": new.definition.name, "superseded_by": str(new.id)}
    return {"kind": "run.cancel", "principal": new.principal, "subject": str(run_id), "detail": Jsonb(detail)}


def _cancelled(new: NewRun, run_id: UUID, reason: str) -> RunChanged:
    return run_changed(run_id, new.definition.name, RunState.CANCELLED, None, reason, new.principal)
