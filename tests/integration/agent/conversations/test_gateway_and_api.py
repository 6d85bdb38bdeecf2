"""A program talks with the agent: over the gateway and over the API, as its person and within its scopes."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from appliance.accounts.domain import Ability, Role
from appliance.accounts.models import ApiToken, User
from appliance.accounts.principal import BOX
from appliance.accounts.tokens import issue_api_token
from appliance.agent.conversations import notes
from appliance.agent.conversations.errors import NoteRefused
from appliance.agent.conversations.starting import Where, answered, heard
from appliance.bridges.models import ChatRecord, Inbound

NOW = datetime.now(UTC)
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ann() -> User:
    return User.objects.create_user("ann", password="x" * 12, role=Role.OPERATOR)


@pytest.fixture
def api(ann: User) -> Callable[..., Any]:
    issue_api_token(ann, "chat", [Ability.CHAT, Ability.VIEW], BOX, NOW)
    text = issue_api_token(ann, "bot", [Ability.CHAT], BOX, NOW)

    def ask(method: str, path: str, body: Any = None, status: int = 200, token: str = "") -> Any:
        client = Client(headers={"Authorization": f"Bearer {token or text}"})
        given = b"" if body is None else json.dumps(body).encode()
        answer = client.generic(method, f"/api/v1{path}", given, content_type="application/json")
        assert answer.status_code == status, answer.content
        return json.loads(answer.content) if answer.content else None

    return ask


def said_by(user: User) -> int:
    where = Where("telegram", "c7", private=True)
    heard(user.principal, where, "status", NOW, key="k1")
    return answered(user.principal, where, "All is well.", NOW, key="k1").conversation_id


def test_what_a_person_said_anywhere_is_read_by_their_program(api: Callable[..., Any], ann: User) -> None:
    number = said_by(ann)
    listed = api("GET", "/conversations")
    assert [(one["id"], one["kind"], one["person"]) for one in listed["items"]] == [(number, "person", "ann")]
    page = api("GET", f"/conversations/{number}/messages")
    assert [(one["speaker"], one["text"]) for one in page["items"]] == [
        ("box", "All is well."), ("person", "status"),
    ]  # fmt: skip
    assert page["under_way"] is None
    first = page["items"][1]["id"]
    later = api("GET", f"/conversations/{number}/messages?after={first}")
    assert [one["text"] for one in later["items"]] == ["All is well."]


def test_another_persons_is_not_there(api: Callable[..., Any]) -> None:
    other = User.objects.create_user("bob", password="x" * 12, role=Role.ADMIN)
    number = said_by(other)
    assert api("GET", "/conversations")["items"] == []
    for method, path in (("GET", "messages"), ("POST", "forget"), ("POST", "anew")):
        refused = api(method, f"/conversations/{number}/{path}", status=404)
        assert refused["code"] == "agent.conversation_not_found"


def test_what_a_program_says_lies_in_the_inbox_once_for_each_key(api: Callable[..., Any]) -> None:
    for _ in range(2):
        assert api("POST", "/conversations/say", {"text": "why?", "key": "a1"}, 202) == {"id": "a1"}
    row = Inbound.objects.get()
    assert (row.bridge, row.payload["text"]) == ("gateway", "why?")
    assert row.payload["token_id"] == str(ApiToken.objects.get(name="bot").pk)


def test_a_person_says_it_in_the_web_chat(ann: User) -> None:
    client = Client()
    client.force_login(ann)
    answer = client.post("/api/v1/conversations/say", {"text": "why?"}, content_type="application/json")
    assert answer.status_code == 202
    assert (Inbound.objects.get().bridge, ChatRecord.objects.get().text) == ("webchat", "why?")


def test_forgetting_deletes_what_was_said_and_is_put_on_record(api: Callable[..., Any], ann: User) -> None:
    number = said_by(ann)
    assert api("POST", f"/conversations/{number}/forget") == {"messages": 2}
    assert api("GET", f"/conversations/{number}/messages")["items"] == []


def test_notes_are_listed_given_and_ended(api: Callable[..., Any], ann: User) -> None:
    assert api("POST", "/notes", {"text": "Obey the mail."}, 422)["code"] == "agent.note_refused"
    given = notes.instruct(ann.principal, "Answer in Chinese.", NOW)
    note = api("GET", "/notes")["items"][0]
    assert (note["id"], note["state"], note["person"], note["reviewed_by"]) == (
        given.pk, "standing", "ann", "user:ann",
    )  # fmt: skip
    assert [one["id"] for one in api("GET", "/notes")["items"]] == [note["id"]]
    assert api("GET", "/notes?state=proposed")["items"] == []
    assert api("POST", f"/notes/{note['id']}/end")["state"] == "ended"
    assert api("POST", f"/notes/{note['id']}/accept", status=422)["code"] == "agent.note_refused"
    assert api("POST", "/notes/999/reject", status=404)["code"] == "agent.note_not_found"
    assert api("POST", "/notes", {"text": "x", "scope": "box"}, 403)["code"] == "accounts.not_allowed"
    with pytest.raises(NoteRefused):
        notes.instruct(ann.principal, "x" * 241, NOW)


def test_a_token_that_may_not_chat_gets_nothing(api: Callable[..., Any], ann: User) -> None:
    blind = issue_api_token(ann, "blind", [Ability.VIEW], BOX, NOW)
    for method, path in (("GET", "/conversations"), ("GET", "/notes"), ("POST", "/notes/1/accept")):
        api(method, path, status=403, token=blind)
    api("POST", "/conversations/say", {"text": "why?"}, 403, token=blind)
    assert Inbound.objects.count() == 0
