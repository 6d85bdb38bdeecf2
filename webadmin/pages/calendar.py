"""The calendar: a day or a week, task by task."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from appliance.accounts.domain import Ability
from appliance.events.services import current_cursor
from appliance.lib.errors import MillwrightError
from appliance.runs.models import Run
from appliance.tasks.calendar import Entry, EntryState, calendar
from appliance.tasks.models import Task
from webadmin.pages.access import needs

PAGE = 300
A_DAY = timedelta(days=1)
MOST_TASKS = 500


@dataclass(slots=True)
class Line:
    """Entries of one task in a row that became the same: shown as one, opened where there are several."""

    state: str
    reason: str
    entries: list[Entry] = field(default_factory=list)

    @property
    def first(self) -> Entry:
        return self.entries[0]

    @property
    def last(self) -> Entry:
        return self.entries[-1]


@dataclass(slots=True)
class Day:
    day: date
    tasks: dict[str, list[Line]] = field(default_factory=dict)


def days_of(entries: Iterable[Entry], states: Mapping[UUID, str]) -> list[Day]:
    """Entries by day (UTC) and task, in the order of time."""
    found: dict[date, Day] = {}
    for entry in entries:
        at = entry.at.astimezone(UTC).date()
        lines = found.setdefault(at, Day(at)).tasks.setdefault(entry.task, [])
        # A run that was let in says what became of it; everything else says why it was not.
        ran = states.get(entry.run_id, "") if entry.run_id and entry.state is EntryState.RAN else ""
        state, reason = ran or entry.state.value, "" if entry.state is EntryState.RAN else entry.reason
        same = lines and (lines[-1].state, lines[-1].reason, lines[-1].last.trigger)
        if same != (state, reason, entry.trigger):
            lines.append(Line(state, reason))
        lines[-1].entries.append(entry)
    for day in found.values():
        day.tasks = dict(sorted(day.tasks.items()))
    return list(found.values())


@needs(Ability.VIEW)
def calendar_page(request: HttpRequest) -> HttpResponse:
    cursor, now = current_cursor(), datetime.now(UTC)
    week = request.GET.get("view") == "week"
    day = _day(request.GET.get("day", ""), now.date())
    first = day - timedelta(days=day.weekday()) if week else day
    length = 7 * A_DAY if week else A_DAY
    begin = datetime.combine(first, time(), UTC)
    task, after = (request.GET.get(name, "").replace("\x00", "") for name in ("task", "after"))
    try:
        page = calendar(begin, begin + length, now, task=task, after=after, limit=PAGE)
    except MillwrightError as error:
        raise Http404(str(error)) from error
    run_ids = [entry.run_id for entry in page.entries if entry.run_id]
    states = dict(Run.objects.filter(pk__in=run_ids).values_list("pk", "state"))
    context = {
        "cursor": cursor,
        "days": days_of(page.entries, states),
        "next": page.next,
        "week": week,
        "day": first,
        "last_day": first + length - A_DAY,
        "before_day": first - length,
        "after_day": first + length,
        "today": now.date(),
        "task": task,
        "tasks": list(Task.objects.order_by("name").values_list("name", flat=True)[:MOST_TASKS]),
    }
    return render(request, "calendar.html", context)


def _day(text: str, today: date) -> date:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return today
    return found if 1971 <= found.year <= 9000 else today
