"""Talking to the box on its chat page: what was said, what an agent does about it, and what it is to remember."""

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from appliance.accounts.domain import Role
from appliance.accounts.models import User
from appliance.accounts.principal import BOX
from appliance.agent import assistant
from appliance.agent.conversations import notes
from appliance.agent.conversations.domain import NoteScope, NoteState
from appliance.agent.conversations.models import AgentMessage, AgentNote
from appliance.agent.conversations.starting import Where, answered, heard
from appliance.bridges import chats
from appliance.bridges.models import ChatRecord
from appliance.lib.config import get_config
from appliance.processes.models import PartBeat
from appliance.tasks.models import Task
from tests.integration.webadmin.agent_rows import STOP, Rows, begun, ended
from webadmin.templatetags.chats import linked

Browsers = Callable[[Role], Client]
People = Callable[[Role], User]
HERE = Where("webchat", "user:operator", private=True)


def html(client: Client, path: str = "/chat/") -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return answer.content.decode()


def asked(user: User, text: str, run_id: UUID) -> ChatRecord:
    """What the person wrote, as the box has taken it for the beginning of a run."""
    now = datetime.now(UTC)
    row = chats.post_message(user, text, now)
    heard(user.principal, HERE, text, now, key=f"chat/webchat/message-{row.pk}/0", run_id=run_id)
    ChatRecord.objects.create(
        platform="webchat", conversation=row.conversation, text="I look into it: run 1234abcd.", created_at=now,
        buttons=[{"label": "Cancel", "data": f"cancel {run_id}"}],
    )  # fmt: skip
    return row


@pytest.fixture
def operator(person: People) -> User:
    return person(Role.OPERATOR)


def test_without_an_assistant_the_page_says_how_one_is_switched_on(browser: Browsers) -> None:
    assert "An engineer can switch it on." in html(browser(Role.OPERATOR))
    client = browser(Role.ENGINEER)
    assert "Switch the assistant on" in html(client)
    answer = client.post("/chat/assistant/", {"do": "on"}, follow=True).content.decode()
    assert "The assistant is switched on." in answer
    assert Task.objects.get(name=assistant.NAME).enabled
    assert "Ask in your own words" in html(client)
    client.post("/chat/assistant/", {"do": "off"})
    assert not Task.objects.get(name=assistant.NAME).enabled
    assert "Switch the assistant on" in html(client)


def test_what_was_written_is_sent_with_and_without_scripts(browser: Browsers, operator: User) -> None:
    client = browser(Role.OPERATOR)
    assert client.post("/chat/write/", {"text": "status"})["Location"] == "/chat/"
    quick = client.post("/chat/write/", {"text": "status"}, headers={"HX-Request": "true"})
    assert (quick.status_code, quick.content) == (204, b"")
    empty = client.post("/chat/write/", {"text": " "}, headers={"HX-Request": "true"})
    assert empty["HX-Refresh"] == "true"
    assert html(client).count('class="bubble mine"') == 2


def test_under_a_message_stands_what_its_agent_does_with_question_and_stop(
    browser: Browsers, operator: User
) -> None:
    rows = begun()
    asked(operator, "Why is pump 3 hot?", rows.task_run)
    rows.turn(1, STOP, say="I would stop it.")
    question = rows.asks("call-1-1", approvers="operator")
    rows.step("call-1-1", "waiting")
    rows.state("waiting", waiting_for="approval")
    page = html(browser(Role.OPERATOR))
    for part in (
        "Why is pump 3 hot?",
        "I would stop it.",
        f"/approvals/{question.pk}/decide/",
        f"/runs/{rows.task_run}/act/",
    ):
        assert part in page, part
    assert "I look into it" not in page
    assert f"run/{rows.own}" in page
    assert "I would stop it." not in html(browser(Role.ENGINEER))


def test_its_end_is_folded_and_the_answer_is_the_next_message(browser: Browsers, operator: User) -> None:
    rows = ended()
    row = asked(operator, "Why is pump 3 hot?", rows.task_run)
    ChatRecord.objects.create(
        platform="webchat", conversation=row.conversation, text="I stopped it.", created_at=datetime.now(UTC)
    )
    page = html(browser(Role.OPERATOR))
    assert page.index('class="talk-turns"') < page.index("I stopped it.</p>")
    assert "data-live-every" not in page.partition('id="chat"')[2].partition("</section>")[0]


def test_what_was_said_on_another_platform_is_part_of_it(browser: Browsers, operator: User) -> None:
    there = Where("telegram", "42", private=True)
    heard(operator.principal, there, "and pump 4?", datetime.now(UTC), key="chat/telegram/1/0")
    answered(operator.principal, there, "It is fine.", datetime.now(UTC), key="chat/telegram/1/0")
    page = html(browser(Role.OPERATOR))
    assert page.index("and pump 4?") < page.index("It is fine.")
    assert "telegram" in page
    assert "and pump 4?" not in html(browser(Role.ENGINEER))


def test_what_was_said_is_forgotten_or_begun_anew(browser: Browsers, operator: User) -> None:
    heard(operator.principal, HERE, "status", datetime.now(UTC), key="chat/webchat/message-1/0")
    number = AgentMessage.objects.get().conversation_id
    client = browser(Role.OPERATOR)
    assert "Forget what was said" in html(client)
    answer = client.post("/chat/forget/", {"conversation": number, "do": "anew"}, follow=True)
    assert "A new conversation" in answer.content.decode()
    assert html(client).count('class="talk-anew"') == 1
    assert AgentMessage.objects.count() == 2
    strangers = browser(Role.ENGINEER).post(
        "/chat/forget/", {"conversation": number, "do": "forget"}, follow=True
    )
    assert "message error" in strangers.content.decode()
    client.post("/chat/forget/", {"conversation": number, "do": "forget"})
    assert AgentMessage.objects.count() == 0


def test_with_the_first_word_the_page_gets_what_begins_anew(browser: Browsers, operator: User) -> None:
    client = browser(Role.OPERATOR)
    before = html(client)
    assert 'data-live="conversation/ feed/"' in before
    assert "Forget what was said" not in before
    heard(operator.principal, HERE, "status", datetime.now(UTC), key="chat/webchat/message-1/0")
    after = html(client)
    assert 'data-live="conversation/ feed/"' not in after
    assert "Forget what was said" in after


def test_where_no_model_answers_the_page_says_so_and_leads_on(browser: Browsers, operator: User) -> None:
    assistant.switch_on(BOX, datetime.now(UTC))
    client = browser(Role.OPERATOR)
    PartBeat.objects.update_or_create(part="keeper", defaults={"at": datetime.now(UTC), "healthy": True})
    assert 'class="chat-mute"' not in html(client)
    PartBeat.objects.filter(part="keeper").update(healthy=False)
    assert 'class="chat-mute"' in html(client)


def test_a_page_of_this_box_that_a_message_names_is_a_link_and_no_other_is() -> None:
    own = get_config().public_url.rstrip("/")
    said = linked(f"Look: {own}/proposals/1/?a=b&c, <b> and https://evil.example/x or {own}.evil.example/y.")
    assert f'<a href="/proposals/1/?a=b&amp;c">{own}/proposals/1/?a=b&amp;c</a>, &lt;b&gt;' in said
    assert said.count("<a ") == 1


def test_notes_are_accepted_rejected_and_ended(browser: Browsers, operator: User) -> None:
    now, client = datetime.now(UTC), browser(Role.OPERATOR)
    good = notes.propose(operator.principal, "pump 3 is on line 7", NoteScope.PERSON, now)
    bad = notes.propose(operator.principal, "the operator hates alarms", NoteScope.PERSON, now)
    page = html(client)
    assert "Wants to remember" in page
    assert "pump 3 is on line 7" in page
    client.post(f"/chat/notes/{good.pk}/", {"do": "accept"})
    client.post(f"/chat/notes/{bad.pk}/", {"do": "reject"})
    states = dict(AgentNote.objects.values_list("pk", "state"))
    assert states == {good.pk: NoteState.ACCEPTED, bad.pk: NoteState.REJECTED}
    page = html(client)
    assert "the operator hates alarms" not in page
    client.post(f"/chat/notes/{good.pk}/", {"do": "end"})
    assert "pump 3 is on line 7" not in html(client)
    assert (
        "Choose one of the answers"
        in client.post("/chat/notes/1/", {"do": "x"}, follow=True).content.decode()
    )


def test_a_note_of_somebody_else_is_neither_seen_nor_decided(browser: Browsers, operator: User) -> None:
    note = notes.propose(operator.principal, "pump 3 is on line 7", NoteScope.PERSON, datetime.now(UTC))
    client = browser(Role.ENGINEER)
    assert "pump 3 is on line 7" not in html(client)
    client.post(f"/chat/notes/{note.pk}/", {"do": "accept"})
    note.refresh_from_db()
    assert note.state == NoteState.PROPOSED


def test_a_standing_instruction_is_given_and_taken_away(browser: Browsers, operator: User) -> None:
    client = browser(Role.OPERATOR)
    client.post("/chat/instruct/", {"text": "Temperatures in °C"})
    (row,) = AgentNote.objects.all()
    assert row.state == NoteState.STANDING
    assert "Temperatures in °C" in html(client)
    assert "message error" in client.post("/chat/instruct/", {"text": " "}, follow=True).content.decode()
    client.post(f"/chat/notes/{row.pk}/", {"do": "end"})
    row.refresh_from_db()
    assert row.state == NoteState.ENDED


def test_who_only_looks_sees_the_feed_and_writes_nothing(browser: Browsers) -> None:
    ChatRecord.objects.create(
        platform="webchat", conversation="feed", text="Pump 3 is hot", created_at=datetime.now(UTC)
    )
    page = html(browser(Role.VIEWER))
    assert "Pump 3 is hot" in page
    for part in ("chat-form", "Standing instruction", "/chat/notes/"):
        assert part not in page


def many(user: User, number: int) -> list[Rows]:
    made = []
    for place in range(number):
        rows = ended(3)
        asked(user, f"question {place}", rows.task_run)
        made.append(rows)
    return made


def test_many_conversations_cost_no_more_questions_than_one(browser: Browsers, operator: User) -> None:
    assistant.switch_on(BOX, datetime.now(UTC))
    client = browser(Role.OPERATOR)
    many(operator, 1)
    with CaptureQueriesContext(connection) as few:
        html(client)
    many(operator, 20)
    with CaptureQueriesContext(connection) as more:
        html(client)
    assert len(few) == len(more) <= 40
