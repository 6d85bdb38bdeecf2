"""The calendar's page and address, and the questions under which people decide about missed times."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from appliance.accounts.domain import Role
from appliance.accounts.principal import BOX
from appliance.lib.identity import uuid_at
from appliance.runs.models import Run
from appliance.tasks import doors
from appliance.tasks.firing import insert_occurrence
from appliance.tasks.models import Hold, OccurrenceState, Question, Task
from appliance.tasks.services import apply_text
from webadmin.pages.calendar import PAGE

Browser = Callable[[Role], Client]
HOURLY = """- name: hourly
  triggers: [{id: full, cron: "0 * * * *"}]
  misfire: ask
  actions: [{type: set, value: 1}]
"""


@pytest.fixture
def asked(db: None, monkeypatch: pytest.MonkeyPatch) -> Question:
    """A task that missed some hours of yesterday and today."""
    monkeypatch.setattr("appliance.tasks.doors._hint", lambda run_ids: None)
    now = datetime.now(UTC)
    apply_text(HOURLY, "t.yaml", BOX, now - timedelta(hours=30))
    late = now.replace(minute=30)
    doors.look_at_trigger(Task.objects.get(name="hourly").pk, "full", late)
    return Question.objects.get()


def occur(task: Task, count: int, day: datetime) -> None:
    for number in range(count):
        due = day + timedelta(minutes=number)
        insert_occurrence(
            occurrence_id=uuid_at(due, "x", task.name),
            task_id=task.pk,
            trigger="often",
            due_at=due,
            state=list(OccurrenceState)[number % 4],
            reason="because",
            event={},
            run_id=None,
        )


def test_a_day_and_a_week_show_the_past_and_the_future(browser: Browser, asked: Question) -> None:
    client = browser(Role.VIEWER)
    for view in ("day", "week"):
        said = client.get(reverse("calendar"), {"view": view}).content.decode()
        assert 'href="/tasks/hourly/"' in said
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()
    said = client.get(reverse("calendar"), {"day": tomorrow, "task": "hourly"}).content.decode()
    assert "planned" in said
    assert "×24" in said


def test_a_long_day_comes_in_pages(browser: Browser, greet: Task) -> None:
    day = datetime(2026, 11, 2, tzinfo=UTC)
    occur(greet, PAGE + 7, day)
    client, seen, address = browser(Role.VIEWER), 0, f"{reverse('calendar')}?day=2026-11-02"
    while address:
        answer = client.get(address)
        entries = [
            e for d in answer.context["days"] for lines in d.tasks.values() for x in lines for e in x.entries
        ]
        seen += len(entries)
        following = answer.context["next"]
        address = f"{reverse('calendar')}?day=2026-11-02&after={following}" if following else ""
    assert seen == PAGE + 7


@pytest.mark.parametrize(
    "more", ["day=x", "day=0001-01-01", "day=9999-12-31", "view=month", "after=", "task="]
)
def test_an_odd_address_shows_a_calendar_all_the_same(browser: Browser, greet: Task, more: str) -> None:
    assert browser(Role.VIEWER).get(f"{reverse('calendar')}?{more}").status_code == 200


@pytest.mark.parametrize("more", ["after=x", "after=planned", "task=nobody"])
def test_what_is_not_there_is_not_found(browser: Browser, greet: Task, more: str) -> None:
    assert browser(Role.VIEWER).get(f"{reverse('calendar')}?{more}").status_code == 404


def test_the_page_s_queries_do_not_grow_with_its_rows(browser: Browser, greet: Task) -> None:
    client = browser(Role.VIEWER)

    def queries(day: str) -> int:
        with CaptureQueriesContext(connection) as seen:
            assert client.get(reverse("calendar"), {"day": day}).status_code == 200
        return len(seen)

    occur(greet, 1, datetime(2026, 11, 2, tzinfo=UTC))
    occur(greet, 200, datetime(2026, 11, 3, tzinfo=UTC))
    queries("2026-11-02")
    assert queries("2026-11-02") == queries("2026-11-03") <= 11


def test_the_address_gives_the_same_to_programs(browser: Browser, asked: Question) -> None:
    client, now = browser(Role.VIEWER), datetime.now(UTC)
    stretch: dict[str, str] = {
        "from": (now - timedelta(hours=5)).isoformat(),
        "to": (now + timedelta(hours=3)).isoformat(),
    }
    found = client.get("/api/v1/calendar", {**stretch, "task": "hourly", "limit": "4"}).json()
    assert [one["state"] for one in found["items"]] == ["missed"] * 4
    rest = client.get("/api/v1/calendar", {**stretch, "task": "hourly", "after": found["next"]}).json()
    assert [one["state"] for one in rest["items"]][-3:] == ["planned"] * 3
    assert rest["next"] is None
    assert client.get("/api/v1/calendar").status_code == 200
    assert client.get("/api/v1/calendar", {"task": "nobody"}).status_code == 404
    refused = client.get("/api/v1/calendar", {**stretch, "to": stretch["from"]})
    assert (refused.status_code, refused.json()["code"]) == (422, "calendar.refused")
    assert Client().get("/api/v1/calendar").status_code == 401


@pytest.mark.parametrize("page", ["/", "/tasks/hourly/"])
def test_a_question_stands_where_people_look_with_buttons_for_who_may(
    browser: Browser, asked: Question, page: str
) -> None:
    address = reverse("question-answer", args=[asked.code])
    said = browser(Role.OPERATOR).get(page).content.decode()
    assert all(f'value="{word}"' in said for word in ("run_once", "run_all", "skip"))
    assert address in said
    said = browser(Role.VIEWER).get(page).content.decode()
    assert asked.code in said
    assert address not in said


def test_a_person_answers_and_the_question_is_gone(browser: Browser, asked: Question) -> None:
    client, address = browser(Role.OPERATOR), reverse("question-answer", args=[asked.code])
    answer = client.post(address, {"do": "run_once", "task": "hourly"}, follow=True)
    assert answer.redirect_chain == [("/tasks/hourly/", 302)]
    assert "1 run started" in answer.content.decode()
    assert Run.objects.count() == 1
    again = client.post(address, {"do": "skip"}, follow=True).content.decode()
    assert "user:operator has answered" in again
    assert address not in again


def test_an_answer_needs_the_right_and_a_known_word(browser: Browser, asked: Question) -> None:
    address = reverse("question-answer", args=[asked.code])
    assert browser(Role.VIEWER).post(address, {"do": "skip"}).status_code == 403
    browser(Role.OPERATOR).post(address, {"do": "burn"})
    asked.refresh_from_db()
    assert asked.state == "open"


def test_the_task_s_page_shows_what_is_holding_and_what_the_limit_left_alone(
    browser: Browser, greet: Task
) -> None:
    now = datetime.now(UTC)
    Hold.objects.create(
        task=greet,
        trigger="heard",
        key="who=bob",
        debounce=False,
        since=now,
        due_at=now + timedelta(seconds=30),
        length=timedelta(seconds=30),
        events=3,
        inputs={},
        reason="",
        touched_at=now,
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO runs_rate (task_id, suppressed, suppressed_at) VALUES (%s, 4711, now())", [greet.pk]
        )
    said = browser(Role.VIEWER).get(reverse("task", args=["greet"])).content.decode()
    assert "holding since" in said
    assert "who=bob" in said
    assert "4711" in said
