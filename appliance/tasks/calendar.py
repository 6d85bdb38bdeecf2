"""The calendar: what was due and what became of it, and what will be due. Bounded, page by page.

The past is read from occurrences, which are keyed by their time; the future is computed from the triggers, one due
time at a time, so that a page costs what it shows however long the stretch is.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice, takewhile
from uuid import UUID

from pydantic import ValidationError

from appliance.lib.errors import MillwrightError
from appliance.lib.identity import uuid_floor
from appliance.tasks.definition import Trigger
from appliance.tasks.models import Occurrence, OccurrenceState, Task, TaskTrigger
from appliance.tasks.schedule import dues
from appliance.tasks.services import TIME_KINDS, find

LONGEST = timedelta(days=32)
MOST_TRIGGERS = 5000
_INSTANT = timedelta(microseconds=1)
_PLANNED = "planned"


class CalendarRefused(MillwrightError):
    code = "calendar.refused"


class EntryState(StrEnum):
    RAN = "ran"
    MISSED = "missed"
    SKIPPED = "skipped"
    SUPPRESSED = "suppressed"
    PLANNED = "planned"


_STATES = {
    OccurrenceState.FIRED.value: EntryState.RAN,
    OccurrenceState.MISSED.value: EntryState.MISSED,
    OccurrenceState.SKIPPED.value: EntryState.SKIPPED,
    OccurrenceState.SUPPRESSED.value: EntryState.SUPPRESSED,
}


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """One time in the calendar. A missed one with a run was made up for."""

    at: datetime
    task: str
    trigger: str
    state: EntryState
    reason: str = ""
    run_id: UUID | None = None
    position: str = ""
    """Give it as ``after`` to go on behind this entry."""


@dataclass(frozen=True, slots=True)
class CalendarPage:
    """Entries in the order of time; ``next`` is the ``after`` of the page that follows."""

    entries: list[Entry]
    next: str | None


def calendar(
    begin: datetime,
    end: datetime,
    now: datetime,
    *,
    task: str = "",
    after: str = "",
    limit: int = 200,
) -> CalendarPage:
    """What is in ``[begin, end)``, of one task or of all. Raises CalendarRefused and TaskNotFound."""
    if begin.tzinfo is None or end.tzinfo is None:
        raise CalendarRefused("times need an offset", hint="as in 2026-05-01T00:00:00Z")
    if not begin < end <= begin + LONGEST:
        raise CalendarRefused(f"a calendar spans more than nothing and at most {LONGEST.days} days")
    task_id = find(task).pk if task else None
    found: list[Entry] = []
    if not after.startswith(_PLANNED):
        found = _past(begin, end, task_id, after, limit + 1)
    if len(found) <= limit:
        planned = _planned(max(begin, now + _INSTANT), end, task_id, after)
        found += islice(planned, limit + 1 - len(found))
    return CalendarPage(found[:limit], found[limit - 1].position if len(found) > limit else None)


def _past(begin: datetime, end: datetime, task_id: int | None, after: str, limit: int) -> list[Entry]:
    rows = Occurrence.objects.filter(pk__gte=uuid_floor(begin), pk__lt=uuid_floor(end)).defer("event")
    if task_id is not None:
        rows = rows.filter(task_id=task_id)
    if after:
        rows = rows.filter(pk__gt=_uuid(after))
    page = list(rows.order_by("pk")[:limit])
    names = dict(Task.objects.filter(pk__in={row.task_id for row in page}).values_list("pk", "name"))
    return [
        Entry(
            row.due_at,
            names.get(row.task_id, ""),
            row.trigger,
            _STATES[row.state],
            row.reason,
            row.run_id,
            str(row.pk),
        )
        for row in page
    ]


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise CalendarRefused(f"{text!r} is no position of a calendar") from None


def _planned(begin: datetime, end: datetime, task_id: int | None, after: str) -> Iterator[Entry]:
    """Due times from ``begin`` on, of all triggers, merged; only as many are computed as are taken."""
    rows = TaskTrigger.objects.filter(
        active=True, task__enabled=True, kind__in=TIME_KINDS, next_due__isnull=False, next_due__lt=end
    )
    if task_id is not None:
        rows = rows.filter(task_id=task_id)
    known = list(rows.values_list("task__name", "trigger", "spec")[:MOST_TRIGGERS])
    position = _position(after) if after.startswith(_PLANNED) else None
    start = max(begin, position[0]) if position else begin
    merged = heapq.merge(*(_of_trigger(name, trigger, spec, start, end) for name, trigger, spec in known))
    for entry in merged:
        if position is None or (entry.at, entry.task, entry.trigger) > position:
            yield entry


def _of_trigger(name: str, trigger: str, spec: object, begin: datetime, end: datetime) -> Iterator[Entry]:
    try:
        read = Trigger.model_validate(spec)
    except ValidationError:
        return  # a version that this release cannot read is not armed either
    for at in takewhile(lambda due: due < end, dues(read, begin - _INSTANT)):
        position = f"{_PLANNED}|{at.isoformat()}|{name}|{trigger}"
        yield Entry(at, name, trigger, EntryState.PLANNED, position=position)


def _position(text: str) -> tuple[datetime, str, str]:
    parts = text.split("|")
    try:
        _, at, name, trigger = parts
        return datetime.fromisoformat(at).astimezone(UTC), name, trigger
    except ValueError:
        raise CalendarRefused(f"{text!r} is no position of a calendar") from None
