"""Where people see what nobody has answered, and take it on: pages, chat, API, figures."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from appliance.accounts.domain import Ability, Role
from appliance.accounts.models import User
from appliance.accounts.tokens import issue_api_token
from appliance.bridges.commands import parse_command
from appliance.bridges.ports import ChatSender, Verb
from appliance.escalations.models import Escalation
from appliance.lib.identity import uuid7
from appliance.outbox.ports import OutboxItem
from appliance.outbox.services import enqueue_now
from appliance.processes.chat import ChatCommands, NotDone

Browser = Callable[[Role], Client]
Opened = Callable[..., Escalation]


@pytest.fixture
def opened(db: None) -> Opened:
    """One that waits, as a notification leaves it."""

    def make(code: str = "K7Q2MX", **more: object) -> Escalation:
        now = datetime.now(UTC)
        values: dict[str, object] = {
            "id": uuid7(),
            "code": code,
            "title": "pump 7 <b>is</b> hot",
            "text": "pump 7 <b>is</b> hot",
            "task": "greet",
            "stages": [{"after": 600, "to": ["role:admin"]}, {"after": 600, "to": []}],
            "wait": 600,
            "next_at": now + timedelta(minutes=10),
            "opened_at": now,
        }
        return Escalation.objects.create(**{**values, **more})

    return make


@pytest.mark.parametrize("page", ["/escalations/", "/", "run"])
def test_it_stands_where_people_look(
    browser: Browser, opened: Opened, ended_run: Callable[..., UUID], page: str
) -> None:
    run_id = ended_run()
    row = opened(run_id=run_id, step_id="tell")
    address = reverse("run", args=[run_id]) if page == "run" else page
    said = browser(Role.OPERATOR).get(address).content.decode()
    for text in ("pump 7 &lt;b&gt;is&lt;/b&gt; hot", "role:admin", "K7Q2MX", "Acknowledge"):
        assert text in said
    assert reverse("escalation-answer", args=[row.pk]) in said


def test_its_buttons_are_for_those_who_may(browser: Browser, opened: Opened) -> None:
    row = opened()
    viewer, answer = browser(Role.VIEWER), reverse("escalation-answer", args=[row.pk])
    assert answer not in viewer.get("/escalations/").content.decode()
    assert viewer.post(answer).status_code == 403
    row.refresh_from_db()
    assert row.state == "open"


def test_whoever_presses_has_it_and_it_is_listed_as_settled(browser: Browser, opened: Opened) -> None:
    row, operator = opened(state="exhausted", next_at=None), browser(Role.OPERATOR)
    assert "nobody has answered" in operator.get("/").content.decode()
    said = operator.post(reverse("escalation-answer", args=[row.pk]), {"do": "acknowledge"}, follow=True)
    row.refresh_from_db()
    assert (row.state, row.way) == ("acknowledged", "web")
    assert "You have acknowledged" in said.content.decode()
    again = operator.get("/escalations/").content.decode()
    assert reverse("escalation-answer", args=[row.pk]) not in again
    assert "acknowledged" in again


def test_a_list_asks_the_database_as_often_for_many_as_for_one(browser: Browser, opened: Opened) -> None:
    operator = browser(Role.OPERATOR)
    counts = []
    for number in range(4):
        opened(f"AAAAA{number + 2}")
        with CaptureQueriesContext(
            connection,
        ) as queries:
            operator.get("/escalations/")
        counts.append(len(queries))
    assert counts[1] == counts[-1]


def told(row: Escalation, platform: str, conversation: str) -> None:
    """A message of it went there."""
    item = enqueue_now(
        OutboxItem(f"m/{row.code}", platform, {"text": "x"}, conversation, at=datetime.now(UTC))
    )
    row.messages = [*row.messages, str(item)]
    row.save()


def say(user: User, text: str, conversation: str = "77") -> str:
    command = parse_command(text, key=f"k/{text}", received_at=datetime.now(UTC))
    assert command.verb is Verb.ACK
    sender = ChatSender(user.pk, user.username, "telegram", "77", conversation)
    answer = ChatCommands()._done(command, sender)
    assert answer is not None
    return answer.text


@pytest.mark.parametrize("text", ["ack k7q2mx", "确认K7Q2MX", "知道了 K7Q2MX", "/ack K7Q2MX, thanks"])
def test_it_is_acknowledged_in_a_chat_by_its_code(
    person: Callable[[Role], User], opened: Opened, text: str
) -> None:
    row = opened()
    say(person(Role.OPERATOR), text)
    row.refresh_from_db()
    assert (row.state, row.way) == ("acknowledged", "chat")


def test_without_a_code_it_is_the_one_thing_that_was_told_here(
    person: Callable[[Role], User], opened: Opened
) -> None:
    ana, row, other = person(Role.OPERATOR), opened(), opened("BBBBBB", title="elsewhere")
    told(row, "telegram", "77")
    told(other, "telegram", "78")
    assert say(ana, "ack") == "You have acknowledged: pump 7 <b>is</b> hot"
    assert say(ana, "ack ") == "Nothing here waits to be acknowledged."
    two = opened("CCCCCC")
    told(two, "telegram", "78")
    assert say(ana, "知道了，谢谢", "78").splitlines()[1:] == [
        "ack BBBBBB - elsewhere",
        "ack CCCCCC - pump 7 <b>is</b> hot",
    ]


def test_a_viewer_acknowledges_nothing_in_a_chat(person: Callable[[Role], User], opened: Opened) -> None:
    row = opened()
    for text in ("ack", "ack K7Q2MX"):
        with pytest.raises(Exception, match="not enough to run tasks") as refused:
            say(person(Role.VIEWER), text)
        assert not isinstance(refused.value, NotDone)
    row.refresh_from_db()
    assert row.state == "open"


def test_programs_list_and_acknowledge(
    person: Callable[[Role], User], opened: Opened, client: Client
) -> None:
    row, ana = opened(), person(Role.ADMIN)
    scopes = [Ability.VIEW, Ability.RUN_TASKS]
    secret = issue_api_token(ana, "ci", scopes, ana.principal, datetime.now(UTC))
    head = {"authorization": f"Bearer {secret}"}
    (one,) = client.get("/api/v1/escalations", headers=head).json()["items"]
    assert (one["code"], one["stages"][0]) == ("K7Q2MX", {"after": 600.0, "to": ["role:admin"]})
    done = client.post(f"/api/v1/escalations/{row.pk}/acknowledge", headers=head)
    assert done.json()["state"] == "acknowledged"
    assert client.get("/api/v1/escalations", headers=head).json()["items"] == []
    (settled,) = client.get("/api/v1/escalations?open=false", headers=head).json()["items"]
    assert settled["settled_by"].startswith("token:")
    assert client.post(f"/api/v1/escalations/{uuid7()}/acknowledge", headers=head).status_code == 404
