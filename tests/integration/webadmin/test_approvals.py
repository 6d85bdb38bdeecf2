"""Where people decide: the approvals page, the run's page, the code, and the API."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from appliance.accounts.domain import Ability, Role
from appliance.accounts.models import User
from appliance.accounts.principal import CONSOLE, Principal
from appliance.accounts.tokens import issue_api_token
from appliance.bridges.commands import parse_command
from appliance.bridges.models import ChatRecord
from appliance.bridges.ports import ChatSender
from appliance.bus.models import TopicValue
from appliance.lib.identity import uuid7
from appliance.lib.jsontypes import JsonObject
from appliance.processes.chat import ChatCommands
from appliance.runs import approvals as door
from appliance.runs.approval_notices import message
from appliance.runs.models import Run
from appliance.safety import allstop
from appliance.safety.approvals.asking import Opened, Wish, digest_of
from appliance.safety.approvals.domain import Subject, Terms
from appliance.safety.approvals.models import Approval

Browser = Callable[[Role], Client]
REFUSED = "This cannot be decided by you now."


@pytest.fixture
def waiting(ended_run: Callable[..., UUID], person: Callable[[Role], User]) -> Callable[..., Approval]:
    """A run that waits for an approval, as the engine leaves it."""

    def make(**more: object) -> Approval:
        run_id, now = ended_run(state="waiting", steps=1), datetime.now(UTC)
        Run.objects.filter(pk=run_id).update(waiting_for="approval", finished_at=None)
        values: dict[str, object] = {
            "id": uuid7(),
            "code": f"K{run_id.hex[-5:].upper()}",
            "token_digest": run_id.hex,
            "purpose": "gate",
            "run_id": run_id,
            "step": "open",
            "attempt": 1,
            "task": "greet",
            "kind": "mqtt",
            "digest": "d",
            "rule": "valves.ask",
            "reason": "valves are dear",
            "states": {"plant/mode": {"value": "auto", "quality": "good", "at": now.isoformat()}},
            "requested_by": "user:ana",
            "requester": "ana",
            "approvers": "engineer",
            "state": "open",
            "shown": "topic: plant/valve\npayload: <b>1</b>",
            "created_at": now,
            "expires_at": now + timedelta(minutes=20),
        }
        return Approval.objects.create(**{**values, **more})

    return make


def value(topic: str, said: str) -> None:
    TopicValue.objects.create(
        topic=topic, payload=b"x", size=1, value=said, quality="good", at=datetime.now(UTC), count=1
    )


@pytest.mark.parametrize("page", ["/approvals/", "/", "run"])
def test_it_stands_where_people_look_with_everything_they_need(
    browser: Browser, waiting: Callable[..., Approval], page: str
) -> None:
    row = waiting()
    value("plant/mode", "manual")
    address = reverse("run", args=[row.run_id]) if page == "run" else page
    said = browser(Role.ENGINEER).get(address).content.decode()
    for text in (
        "Publish an MQTT message",
        "&lt;b&gt;1&lt;/b&gt;",
        "valves are dear",
        "valves.ask",
        "plant/mode",
    ):
        assert text in said
    assert "changed" in said
    assert "manual" in said
    assert reverse("approval-decide", args=[row.pk]) in said
    assert re.search(r'id="nav-approvals"\s+data-live="approval/"\s+>1<', said)


@pytest.mark.parametrize("page", ["/", "/chat/"])
@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_a_message_says_the_decision_once_there_is_one(
    browser: Browser, waiting: Callable[..., Approval], page: str, language: str
) -> None:
    row = waiting(token_digest=digest_of("tok-1"))
    subject = Subject("mqtt", "idempotent", {}, 1)
    wish = Wish(row.run_id, row.step, 1, "greet", subject, Terms(), "user:ana", row.shown)
    told = message(Opened(row.pk, row.code, "tok-1", row.expires_at, wish), language)
    messages: list[JsonObject] = [told, {"text": "later", "buttons": []}]
    for one in messages:
        ChatRecord.objects.create(
            platform="webchat",
            conversation="feed",
            text=str(one["text"]),
            buttons=one["buttons"],
            created_at=row.created_at,
        )
    engineer, command = browser(Role.ENGINEER), "approve" if language == "en" else "批准"
    before = engineer.get(page).content.decode()
    assert f"{command} {row.code}" in before
    row.state, row.decided_by, row.way, row.decided_at = "denied", "user:bob", "chat", row.created_at
    row.decision_reason = "not now"
    row.save()
    after = engineer.get(page).content.decode()
    assert row.code not in after
    assert "tok-1" not in after
    for text in ("&lt;b&gt;1&lt;/b&gt;", "bob (chat)", "<q>not now</q>", "later"):
        assert text in after


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_buttons_are_for_those_who_may(
    browser: Browser, waiting: Callable[..., Approval], role: Role
) -> None:
    row = waiting()
    said = browser(role).get("/approvals/").content.decode()
    assert row.shown.splitlines()[0] in said
    assert reverse("approval-decide", args=[row.pk]) not in said


def test_the_page_says_whose_hand_is_in_it(browser: Browser, waiting: Callable[..., Approval]) -> None:
    waiting(requested_by="token:ana/ci", issuer="admin")
    waiting(requested_by="token:ana/old", issuer="?")
    waiting(
        state="used", decided_by="user:bob", decided_at=datetime.now(UTC), way="code", minted_by="console"
    )
    said = " ".join(browser(Role.ADMIN).get("/approvals/").content.decode().split())
    for text in (
        "with a token that admin made, who may not decide either",
        "Nobody knows who made this token: no administrator may decide.",
        "bob (code, made by the console)",
    ):
        assert text in said
    assert "approval-answer" not in said


@pytest.mark.parametrize(("word", "state"), [("approve", "approved"), ("deny", "denied")])
def test_a_person_decides_with_a_reason(
    browser: Browser, waiting: Callable[..., Approval], word: str, state: str
) -> None:
    row = waiting()
    address = reverse("approval-decide", args=[row.pk])
    said = browser(Role.ENGINEER).post(address, {"do": word, "reason": "seen"}, follow=True)
    row.refresh_from_db()
    assert (row.state, row.decided_by, row.decision_reason, row.way) == (
        state,
        "user:engineer",
        "seen",
        "web",
    )
    assert Run.objects.get(pk=row.run_id).state == "queued"
    assert state in said.content.decode()
    again = browser(Role.ADMIN).post(address, {"do": word}, follow=True).content.decode()
    assert REFUSED in again


def test_the_wrong_role_gets_a_sentence_or_403_and_nothing_changes(
    browser: Browser, waiting: Callable[..., Approval]
) -> None:
    row = waiting()
    address = reverse("approval-decide", args=[row.pk])
    assert browser(Role.VIEWER).post(address, {"do": "approve"}).status_code == 403
    assert REFUSED in browser(Role.OPERATOR).post(address, {"do": "approve"}, follow=True).content.decode()
    browser(Role.ENGINEER).post(address, {"do": "burn"})
    row.refresh_from_db()
    assert row.state == "open"


def test_a_code_is_made_by_an_approver_and_typed_by_somebody_else(
    browser: Browser, waiting: Callable[..., Approval]
) -> None:
    row = waiting()
    made = browser(Role.ENGINEER).post(reverse("approval-decide", args=[row.pk]), {"do": "code"}, follow=True)
    (said,) = [str(message) for message in made.context["messages"]]
    code = said.removeprefix("Code ").partition(":")[0]
    client, page = browser(Role.VIEWER), reverse("approval-code")
    assert row.code in client.get(page).content.decode()
    for approval in (row.code, "NOBODY"):
        answer = client.post(page, {"approval": approval, "code": "1234 5678"})
        assert "The code is not right for this, or not good any more." in answer.content.decode()
    client.post(page, {"approval": row.code, "code": code})
    row.refresh_from_db()
    assert (row.state, row.decided_by, row.way) == ("approved", "user:engineer", "code")


def test_nothing_is_decided_while_people_may_only_look(
    browser: Browser, waiting: Callable[..., Approval]
) -> None:
    row = waiting()
    allstop.engage(allstop.Level.READ_ONLY, "look", CONSOLE, datetime.now(UTC))
    try:
        browser(Role.ENGINEER).post(reverse("approval-decide", args=[row.pk]), {"do": "approve"})
        row.refresh_from_db()
        assert row.state == "open"
    finally:
        allstop.release("over", Principal("user:ana", Role.ADMIN), datetime.now(UTC))


def test_programs_list_and_decide_within_their_scope(
    browser: Browser, waiting: Callable[..., Approval], person: Callable[[Role], User]
) -> None:
    row, now = waiting(), datetime.now(UTC)
    person(Role.ENGINEER)
    user = User.objects.get(username="engineer")
    looks = issue_api_token(user, "looks", [Ability.VIEW], CONSOLE, now)
    decides = issue_api_token(user, "decides", [Ability.VIEW, Ability.APPROVE], CONSOLE, now)
    client = Client()

    def post(token: str) -> tuple[int, dict[str, str]]:
        answer = client.post(
            f"/api/v1/approvals/{row.pk}/decide",
            {"decision": "deny", "reason": "no"},
            content_type="application/json",
            headers={"authorization": f"Bearer {token}"},
        )
        return answer.status_code, answer.json()

    listed = client.get("/api/v1/approvals", headers={"authorization": f"Bearer {looks}"}).json()
    assert [one["shown"] for one in listed["items"]] == [row.shown]
    assert post(looks)[0] == 403
    status, said = post(decides)
    assert (status, said["state"], said["decided_by"]) == (200, "denied", "token:engineer/decides")
    assert post(decides) == (403, {"code": "approvals.refused", "message": REFUSED, "hint": ""})
    again = client.get("/api/v1/approvals?open=false", headers={"authorization": f"Bearer {looks}"}).json()
    assert [one["state"] for one in again["items"]] == ["denied"]
    assert Client().get("/api/v1/approvals").status_code == 401


def test_the_pages_queries_do_not_grow(browser: Browser, waiting: Callable[..., Approval]) -> None:
    client = browser(Role.ENGINEER)

    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            assert client.get("/approvals/").status_code == 200
        return len(seen)

    waiting()
    queries()
    few = queries()
    for number in range(5):
        waiting(state="open" if number % 2 else "used")
    assert queries() == few <= 12


@pytest.mark.parametrize(
    ("text", "said", "state"),
    [
        ("approve {code}", "Approved: greet, open", "approved"),
        ("/deny {code}: too hot", "Denied: greet, open", "denied"),
        ("批准 {code}", "已批准：greet, open", "approved"),
        ("拒绝{code} 太热", "已拒绝：greet, open", "denied"),
        ("approve NOSUCH", REFUSED, "open"),
        ("approve", "Write approve or deny, and the code.", "open"),
    ],
)
def test_a_person_decides_by_chat(
    waiting: Callable[..., Approval], person: Callable[[Role], User], text: str, said: str, state: str
) -> None:
    row, user = waiting(), person(Role.ENGINEER)
    command = parse_command(text.format(code=row.code), key="chat/1/0", received_at=datetime.now(UTC))
    sender = ChatSender(user.pk, user.username, "tg", "7", "c1")
    assert ChatCommands()._answer(command, sender) == said
    row.refresh_from_db()
    assert row.state == state
    if state != "open":
        assert ChatCommands()._answer(command, sender) == said  # handled again after a crash
        assert row.decision_reason in ("", "too hot", "太热")


def test_the_command_line_lists_decides_and_mints(
    waiting: Callable[..., Approval], person: Callable[[Role], User], capsys: pytest.CaptureFixture[str]
) -> None:
    row = waiting()
    person(Role.ENGINEER)
    call_command("approvals", "list")
    assert "topic: plant/valve" in capsys.readouterr().out
    call_command("approvals", "code", row.code, "--as", "engineer")
    code = capsys.readouterr().out.strip()
    done = door.by_code(row.code, code, Principal("user:vic", Role.VIEWER), datetime.now(UTC))
    assert (done.decided_by, done.minted_by) == ("user:engineer", "console")
    other = waiting()
    call_command("approvals", "deny", str(other.pk), "--reason", "no")
    assert "denied" in capsys.readouterr().out
    with pytest.raises(CommandError, match="cannot be decided"):
        call_command("approvals", "approve", str(other.pk))


def test_what_frames_a_decision_is_in_the_readers_language(
    browser: Browser, waiting: Callable[..., Approval]
) -> None:
    plan = (
        "An agent proposes 2 steps: I stop it\n1. mqtt (topic: a) (it says: “too hot”)\n2. notify (text: b)"
    )
    row = waiting(shown=plan, reason="an agent proposes this (1 of 2 in its plan); it says: “too hot”")
    for page in ("/approvals/", f"/runs/{row.run_id}/"):
        shown = browser(Role.ENGINEER).get(page, headers={"Accept-Language": "zh-hans"}).content.decode()
        assert (
            "智能体提议 2 个步骤：I stop it\n1. mqtt (topic: a)（它说：“too hot”）\n2. notify (text: b)"
            in shown
        )
        assert "智能体提议这样做（计划共 2 步，这是第 1 步）；它说：“too hot”" in shown
