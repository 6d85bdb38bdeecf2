"""Each due time gives exactly one occurrence, whatever looks at it and however often (P2)."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, connections
from django_celery_beat.models import PeriodicTask

from appliance.accounts.principal import BOX
from appliance.audit.models import AuditRecord
from appliance.runs.models import Run
from appliance.tasks import doors
from appliance.tasks.models import Occurrence, Task, TaskTrigger
from appliance.tasks.services import apply_text, set_enabled

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def minutely(misfire: str = "skip", **keys: str) -> str:
    said = "".join(f"  {key}: {value}\n" for key, value in keys.items())
    return f"""
- name: t
  triggers: [{{id: tick, cron: "* * * * *"}}]
  misfire: {misfire}
{said}  actions: [{{type: set, value: 1}}]
"""


def load(text: str, now: datetime = NOON) -> TaskTrigger:
    apply_text(text, "t.yaml", BOX, now)
    return TaskTrigger.objects.get(task__name="t")


def look(now: datetime) -> list[Any]:
    row = TaskTrigger.objects.get(task__name="t")
    return doors.look_at_trigger(row.task_id, row.trigger, now)


def occurrences() -> list[tuple[datetime, str, bool]]:
    rows = Occurrence.objects.order_by("due_at").values_list("due_at", "state", "run_id")
    return [(due, state, run_id is not None) for due, state, run_id in rows]


def test_a_due_time_gives_one_occurrence_and_one_run_however_often_it_is_looked_at() -> None:
    load(minutely())
    assert look(NOON + MINUTE / 2) == []
    for seconds in (0, 0, 1, 30):
        look(NOON + MINUTE + timedelta(seconds=seconds))
    assert occurrences() == [(NOON + MINUTE, "fired", True)]
    (run,) = Run.objects.all()
    (occurrence,) = Occurrence.objects.all()
    assert (run.id, run.occurrence_id, run.origin) == (occurrence.run_id, occurrence.id, "cron")


def test_many_doors_at_once_write_each_due_time_once() -> None:
    load(minutely(misfire="run_once"))
    barrier = threading.Barrier(6)

    def door() -> None:
        try:
            barrier.wait(10)
            for minute in range(1, 6):
                look(NOON + minute * MINUTE)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as threads:
        for future in [threads.submit(door) for _ in range(6)]:
            future.result(60)
    assert occurrences() == [(NOON + minute * MINUTE, "fired", True) for minute in range(1, 6)]
    assert Run.objects.count() == 5
    assert TaskTrigger.objects.get().fired == 5


def test_the_key_holds_even_where_the_lock_does_not() -> None:
    """A restored backup, a clock row set back: the same due times are computed again."""
    row = load(minutely())
    look(NOON + MINUTE)
    TaskTrigger.objects.filter(pk=row.pk).update(last_due=NOON)
    assert look(NOON + MINUTE) == []
    assert occurrences() == [(NOON + MINUTE, "fired", True)]
    assert Run.objects.count() == 1


def test_times_that_passed_while_the_box_was_down_are_rows_marked_missed() -> None:
    load(minutely())
    look(NOON + 5 * MINUTE + timedelta(seconds=90))
    assert occurrences() == [
        *((NOON + minute * MINUTE, "missed", False) for minute in range(1, 6)),
        (NOON + 6 * MINUTE, "fired", True),
    ]


def test_run_once_starts_one_run_for_all_that_was_missed() -> None:
    apply_text(minutely("run_once").replace("* * * * *", "0 * * * *"), "t.yaml", BOX, NOON)
    (run_id,) = look(NOON + timedelta(hours=3, minutes=30))
    assert [state for _, state, _ in occurrences()] == ["missed"] * 3
    run = Run.objects.get()
    assert (run.id, run.reason) == (run_id, "made up for 3 missed time(s)")
    assert look(NOON + timedelta(hours=3, minutes=31)) == []


def test_run_all_makes_up_for_each_missed_time_one_after_another() -> None:
    apply_text(minutely("run_all", overlap="skip").replace("* * * * *", "0 * * * *"), "t.yaml", BOX, NOON)
    started = look(NOON + timedelta(hours=3, minutes=30))
    states = dict(Run.objects.values_list("id", "state"))
    assert [states[run_id] for run_id in started] == ["queued", "waiting", "waiting"]
    dues = [run.inputs["event"]["due_at"] for run in Run.objects.order_by("id")]
    assert dues == [(NOON + timedelta(hours=n)).isoformat() for n in (1, 2, 3)]
    assert [reason for (reason,) in Occurrence.objects.order_by("due_at").values_list("reason")] == [
        f"made up for, {n} of 3" for n in (1, 2, 3)
    ]


def test_what_is_no_longer_valid_is_not_made_up_for() -> None:
    text = minutely("run_once", valid_for="10m").replace("* * * * *", "0 * * * *")
    apply_text(text, "t.yaml", BOX, NOON)
    assert look(NOON + timedelta(hours=3, minutes=30)) == []
    assert len(occurrences()) == 3


def test_a_task_that_is_off_fires_nothing_and_makes_up_for_nothing_when_it_is_on_again() -> None:
    load(minutely("run_once"))
    set_enabled("t", False, BOX, NOON)
    assert look(NOON + MINUTE) == []
    set_enabled("t", True, BOX, NOON + 10 * MINUTE)
    assert len(look(NOON + 11 * MINUTE)) == 1
    assert occurrences() == [(NOON + 11 * MINUTE, "fired", True)]


def test_loading_the_same_file_again_shifts_nothing_and_fires_nothing_twice() -> None:
    load(minutely())
    look(NOON + MINUTE)
    load(minutely(), NOON + MINUTE + timedelta(seconds=5))
    look(NOON + MINUTE + timedelta(seconds=6))
    assert len(occurrences()) == 1


def test_an_edit_of_the_actions_does_not_lose_the_time_that_is_due() -> None:
    load(minutely())
    load(minutely().replace("value: 1", "value: 2"), NOON + MINUTE + timedelta(seconds=5))
    look(NOON + MINUTE + timedelta(seconds=6))
    assert occurrences() == [(NOON + MINUTE, "fired", True)]


def test_the_safety_net_finds_what_no_hint_told() -> None:
    load(minutely())
    assert doors.look_at_all(NOON + MINUTE / 2) == 0
    assert doors.look_at_all(NOON + MINUTE) == 1


def test_a_trigger_that_lost_its_next_due_time_gets_it_back() -> None:
    row = load(minutely())
    TaskTrigger.objects.filter(pk=row.pk).update(next_due=None)
    doors.look_at_all(NOON)
    row.refresh_from_db()
    assert row.next_due == NOON + MINUTE


def test_a_run_that_cannot_be_written_leaves_no_occurrence(monkeypatch: pytest.MonkeyPatch) -> None:
    load(minutely())

    def broken(new: object) -> None:
        raise RuntimeError("no run")

    monkeypatch.setattr(doors, "_start", broken)
    with pytest.raises(RuntimeError):
        look(NOON + MINUTE)
    assert occurrences() == []
    monkeypatch.undo()
    monkeypatch.setattr("appliance.tasks.doors._hint", lambda run_ids: None)
    assert len(look(NOON + MINUTE)) == 1


def test_every_time_trigger_has_one_row_in_beat_s_schedule_and_loses_it_with_the_trigger() -> None:
    apply_text(
        """
- name: t
  triggers:
    - {id: a, cron: "0 6 * * *"}
    - {id: b, cron: "0 6 * * *", timezone: Europe/Paris}
    - {id: c, every: 30s}
    - {id: d, at: "2027-01-01 08:00"}
    - manual
  actions: [{type: set, value: 1}]
""",
        "t.yaml",
        BOX,
        NOON,
    )
    rows = {row.name: row for row in PeriodicTask.objects.filter(name__startswith="t/")}
    assert set(rows) == {"t/a", "t/b", "t/c", "t/d"}
    assert rows["t/b"].crontab.minute == "*"
    assert rows["t/d"].one_off
    load(minutely(), NOON)
    assert [row.name for row in PeriodicTask.objects.filter(name__startswith="t/")] == ["t/tick"]


def test_the_revision_tells_the_reactor_that_triggers_changed() -> None:
    def revision() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT number FROM tasks_revision")
            return int(cursor.fetchone()[0])

    before = revision()
    load(minutely())
    assert revision() > before
    middle = revision()
    set_enabled("t", False, BOX, NOON)
    assert revision() > middle


def test_a_task_of_the_longest_name_fires_like_any_other() -> None:
    """The names that a row is made of are longer together."""
    text = minutely().replace("name: t", f"name: {'t' * 100}").replace("id: tick", f"id: {'g' * 60}")
    apply_text(text, "t.yaml", replace(BOX, name=f"user:{'u' * 150}"), NOON)
    row = TaskTrigger.objects.get()
    (run_id,) = doors.look_at_trigger(row.task_id, row.trigger, NOON + MINUTE)
    assert len(Run.objects.get(pk=run_id).principal) == 169


AHEAD = timedelta(days=3 * 365)


def daily() -> str:
    return minutely().replace("* * * * *", "0 0 * * *")


def test_a_clock_that_was_years_ahead_does_not_silence_a_trigger() -> None:
    load(daily())
    Task.objects.update(created_at=NOON)
    look(NOON + AHEAD)
    assert doors.look_at_all(NOON + MINUTE) == 0
    assert doors.look_at_all(NOON + timedelta(hours=12, seconds=30)) == 1, "tonight's run comes"
    row = TaskTrigger.objects.get()
    assert row.next_due == datetime(2026, 11, 25, tzinfo=UTC)
    assert [due for due, _, _ in occurrences()] == [datetime(2026, 11, 24, tzinfo=UTC)]
    body = AuditRecord.objects.filter(kind="reconciler.repaired", subject="t/tick").order_by("-seq")[0].body
    assert "the last due time of a trigger" in body


def test_a_clock_that_is_years_behind_changes_nothing() -> None:
    """What it would take for missed is on record already when it is set right."""
    load(daily())
    Task.objects.update(created_at=NOON)
    look(NOON + timedelta(days=2))
    before = occurrences()
    assert doors.look_at_all(NOON - AHEAD) == 0
    assert (occurrences(), TaskTrigger.objects.get().last_due) == (before, datetime(2026, 11, 25, tzinfo=UTC))
