"""Where people see the tasks that agents propose, and decide: pages and API."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from appliance.accounts.domain import Ability, Role
from appliance.accounts.models import User
from appliance.accounts.principal import BOX, Principal
from appliance.accounts.tokens import issue_api_token
from appliance.agent.models import AgentProposal
from appliance.agent.proposals.services import Wanted, propose
from appliance.tasks.models import Task
from appliance.tasks.services import apply_text, find

Browser = Callable[[Role], Client]
NOW = datetime(2026, 3, 1, tzinfo=UTC)
TEXT = "- name: greet\n  trigger: manual\n  actions: [{type: set, value: good day}]\n"


@pytest.fixture
def row(greet: Task) -> AgentProposal:
    by = Principal("user:olga", Role.OPERATOR)
    why = "<b>kinder</b>"
    return propose(Wanted(uuid4(), TEXT, why, uuid4(), "call-1-1", "improve"), by, NOW)


def test_the_list_and_the_page_show_what_would_change(browser: Browser, row: AgentProposal) -> None:
    client = browser(Role.ENGINEER)
    said = client.get("/proposals/").content.decode()
    assert "greet" in said
    assert "&lt;b&gt;kinder&lt;/b&gt;" in said
    page = client.get(f"/proposals/{row.pk}/").content.decode()
    assert "Take over" in page
    assert 'class="added"' in page
    assert 'class="removed"' in page
    assert "principal: operator" in page
    assert '<b class="count">1</b>' in client.get("/tasks/").content.decode()


def test_who_may_only_look_gets_no_buttons_and_is_refused(browser: Browser, row: AgentProposal) -> None:
    client = browser(Role.OPERATOR)
    shown = client.get(f"/proposals/{row.pk}/").content.decode()
    assert "Take over" not in shown
    assert "Who may edit this task takes it over or rejects it" in shown
    assert client.post(f"/proposals/{row.pk}/answer/", {"do": "take"}).status_code == 403


def test_the_buttons_take_over_and_reject(browser: Browser, row: AgentProposal) -> None:
    client = browser(Role.ENGINEER)
    answer = client.post(f"/proposals/{row.pk}/answer/", {"do": "take"})
    assert answer.headers["Location"] == "/tasks/greet/"
    shown = client.get("/tasks/greet/", headers={"Accept-Language": "zh-hans"}).content.decode()
    assert "The proposal was taken over: greet v2" in shown
    current = find("greet").current
    assert current is not None
    assert (current.number, current.created_by) == (2, "user:engineer")
    again = client.post(f"/proposals/{row.pk}/answer/", {"do": "reject"}, follow=True)
    assert "does not wait any more" in again.content.decode()


def test_a_conflict_is_said_and_cannot_be_taken_over(browser: Browser, row: AgentProposal) -> None:
    apply_text(TEXT.replace("good day", "hi"), "greet.yaml", BOX, NOW + timedelta(hours=1))
    client = browser(Role.ENGINEER)
    page = client.get(f"/proposals/{row.pk}/").content.decode()
    assert "has changed since" in page
    assert "Take over" not in page
    client.post(f"/proposals/{row.pk}/answer/", {"do": "take"})
    row.refresh_from_db()
    assert row.state == "open"


def test_the_list_asks_the_same_however_many_there_are(browser: Browser, row: AgentProposal) -> None:
    client = browser(Role.ENGINEER)
    client.get("/proposals/")

    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as found:
            client.get("/proposals/")
        return len(found)

    before = queries()
    for number in range(5):
        text = TEXT.replace("greet", f"other_{number}")
        propose(Wanted(uuid4(), text, "", uuid4(), "c", "t"), Principal("user:olga", Role.OPERATOR), NOW)
    assert queries() == before


def test_over_http(person: Callable[[Role], User], row: AgentProposal) -> None:
    token = issue_api_token(
        person(Role.ENGINEER), "t", [Ability.VIEW, Ability.EDIT_TASKS], BOX, datetime.now(UTC)
    )
    client = Client(headers={"Authorization": f"Bearer {token}"})
    (item,) = client.get("/api/v1/proposals").json()["items"]
    assert (item["id"], item["base"]) == (str(row.pk), 1)
    one = client.get(f"/api/v1/proposals/{row.pk}").json()
    assert (one["in_force"], one["moved"]) == (1, False)
    assert "hello" in one["before"]
    taken = client.post(f"/api/v1/proposals/{row.pk}/take")
    assert taken.json()["version"] == 2
    assert client.post(f"/api/v1/proposals/{row.pk}/reject", {}, "application/json").status_code == 409
    assert client.get(f"/api/v1/proposals/{UUID(int=7)}").status_code == 404
    (decided,) = client.get("/api/v1/proposals?open=false").json()["items"]
    assert decided["decided_by"].startswith("token:engineer/")
