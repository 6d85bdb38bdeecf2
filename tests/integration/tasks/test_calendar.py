"""The calendar shows what was due and what became of it, and what will be due: whole, in order, page by page."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from appliance.accounts.principal import BOX
from appliance.lib.identity import uuid_at
from appliance.tasks import calendar as module
from appliance.tasks import schedule
from appliance.tasks.calendar import CalendarRefused, Entry, calendar
from appliance.tasks.firing import insert_occurrence
from appliance.tasks.models import OccurrenceState, Task
from appliance.tasks.services import TaskNotFound, apply_text, set_enabled
from tests.integration.tasks.test_firing import NOON, look, minutely

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
TWO = """
- name: paris
  triggers: [{id: early, cron: "30 2 * * *", timezone: Europe/Paris}]
  actions: [{type: set, value: 1}]
- name: hourly
  triggers: [{id: full, every: 1h}, {id: once, at: "2026-11-24 06:30"}]
  actions: [{type: set, value: 1}]
"""


def said(entries: list[Entry]) -> list[tuple[str, str, str]]:
    return [(f"{one.at:%d %H:%M}", one.task, one.state.value) for one in entries]


def walk(begin: datetime, end: datetime, now: datetime, limit: int, task: str = "") -> list[Entry]:
    """Everything, page by page."""
    found: list[Entry] = []
    after: str | None = ""
    while after is not None:
        page = calendar(begin, end, now, task=task, after=after, limit=limit)
        assert len(page.entries) == limit or page.next is None
        found += page.entries
        after = page.next
    return found


def test_what_will_be_due_is_computed_from_all_triggers_in_order() -> None:
    apply_text(TWO, "t.yaml", BOX, NOON)
    page = calendar(NOON, NOON + DAY, NOON)
    assert len(page.entries) == 1 + 1 + 23
    assert said(page.entries)[:2] == [("23 13:00", "hourly", "planned"), ("23 14:00", "hourly", "planned")]
    times = [one.at for one in page.entries]
    assert times == sorted(times)
    assert [f"{one.at:%H:%M}" for one in page.entries if one.task == "paris"] == ["01:30"]
    assert [one.trigger for one in page.entries if f"{one.at:%H:%M}" == "06:30"] == ["once"]


@pytest.mark.parametrize(
    ("day", "expected"),
    [("2026-03-28", ["01:30", "01:00", "00:30"]), ("2026-10-24", ["00:30", "00:30", "01:30"])],
)
def test_the_future_knows_when_the_clocks_change(day: str, expected: list[str]) -> None:
    """02:30 in Paris over three days: the gap fires at its end, the fold the first time."""
    begin = datetime.fromisoformat(day).replace(tzinfo=UTC)
    apply_text(TWO, "t.yaml", BOX, begin - DAY)
    page = calendar(begin, begin + 3 * DAY, begin - HOUR, task="paris")
    assert [f"{one.at:%H:%M}" for one in page.entries] == expected


def test_the_past_says_what_became_of_each_time_and_links_its_run() -> None:
    apply_text(minutely(), "t.yaml", BOX, NOON)
    (run_id,) = look(NOON + timedelta(minutes=4))[-1:]
    page = calendar(NOON, NOON + HOUR, NOON + timedelta(minutes=4), task="t")
    assert said(page.entries)[:4] == [
        ("23 12:01", "t", "missed"),
        ("23 12:02", "t", "missed"),
        ("23 12:03", "t", "ran"),
        ("23 12:04", "t", "ran"),
    ]
    assert page.entries[3].run_id == run_id
    assert page.entries[0].reason == "the box was not running then"
    assert said(page.entries)[4] == ("23 12:05", "t", "planned")


def test_skipped_and_suppressed_times_are_told_apart() -> None:
    apply_text(minutely(overlap="skip"), "t.yaml", BOX, NOON)
    for minute in (1, 2):
        look(NOON + timedelta(minutes=minute))
    apply_text(minutely(limit="{runs: 1, per: 1h}"), "t.yaml", BOX, NOON)
    look(NOON + timedelta(minutes=4))
    page = calendar(NOON, NOON + timedelta(minutes=5), NOON + timedelta(minutes=4), task="t")
    assert [one.state.value for one in page.entries] == ["ran", "skipped", "ran", "suppressed"]
    assert page.entries[3].reason == "beyond the task's limit of 1 per 1h"


@pytest.mark.parametrize("limit", [1, 2, 7, 200])
def test_pages_join_without_a_gap_or_a_double_across_now(limit: int) -> None:
    apply_text(TWO.replace("2026-11-24 06:30", "2026-11-23 20:00"), "t.yaml", BOX, NOON)
    apply_text(minutely(), "t.yaml", BOX, NOON)
    look(NOON + timedelta(minutes=9))
    now = NOON + timedelta(minutes=9)
    whole = calendar(NOON, NOON + 9 * HOUR, now, limit=10_000).entries
    assert walk(NOON, NOON + 9 * HOUR, now, limit) == whole if limit > 1 else True
    if limit == 1:
        assert walk(NOON, NOON + HOUR / 2, now, 1) == [one for one in whole if one.at < NOON + HOUR / 2]


def test_a_task_that_is_off_plans_nothing_and_keeps_its_past() -> None:
    apply_text(minutely(), "t.yaml", BOX, NOON)
    look(NOON + timedelta(minutes=1))
    set_enabled("t", False, BOX, NOON + timedelta(minutes=1))
    page = calendar(NOON, NOON + HOUR, NOON + timedelta(minutes=1), task="t")
    assert said(page.entries) == [("23 12:01", "t", "ran")]


def test_a_page_computes_only_what_it_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A month of seconds is no more work than a day of them."""
    apply_text(minutely().replace('cron: "* * * * *"', "every: 1s"), "t.yaml", BOX, NOON)
    computed = []
    original = schedule.dues

    def counted(*arguments: object) -> object:
        for due in original(*arguments):  # type: ignore[arg-type]  # passed through as it comes
            computed.append(due)
            yield due

    monkeypatch.setattr(module, "dues", counted)
    page = calendar(NOON, NOON + 31 * DAY, NOON, task="t", limit=50)
    assert len(page.entries) == 50
    assert len(computed) < 60


def test_the_number_of_queries_does_not_grow_with_tasks_or_entries() -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            calendar(NOON, NOON + DAY, NOON + HOUR)
        return len(seen)

    apply_text(minutely(), "t.yaml", BOX, NOON)
    look(NOON + timedelta(minutes=1))
    before = queries()
    apply_text("".join(minutely().replace("name: t", f"name: t{n}") for n in range(20)), "m.yaml", BOX, NOON)
    for task in Task.objects.all():
        for minute in range(5):
            due = NOON + timedelta(minutes=minute)
            insert_occurrence(
                occurrence_id=uuid_at(due, "x", task.name),
                task_id=task.pk,
                trigger="tick",
                due_at=due,
                state=OccurrenceState.MISSED,
                reason="",
                event={},
                run_id=None,
            )
    assert queries() == before <= 4


def test_what_cannot_be_asked_is_refused_in_a_sentence() -> None:
    naive = datetime(2026, 1, 1)
    for begin, end, after in (
        (NOON, NOON, ""),
        (NOON, NOON + 40 * DAY, ""),
        (NOON, NOON + DAY, "x"),
        (NOON, NOON + DAY, "planned|x"),
        (NOON, NOON + DAY, "planned|yesterday|t|tick"),
        (naive, NOON, ""),
    ):
        with pytest.raises(CalendarRefused):
            calendar(begin, end, NOON, after=after)
    with pytest.raises(TaskNotFound):
        calendar(NOON, NOON + DAY, NOON, task="nobody")
