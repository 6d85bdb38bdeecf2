"""The outbox page and its API: what waits, for whom, in which place and why; and what a person may do about it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from appliance.accounts.domain import Ability, Role
from appliance.accounts.models import User
from appliance.accounts.principal import BOX
from appliance.accounts.tokens import issue_api_token
from appliance.audit.models import AuditRecord
from appliance.bridges import mutes
from appliance.lib.identity import uuid7
from appliance.outbox.models import OutboxRow
from appliance.outbox.ports import OutboxItem
from appliance.outbox.services import enqueue_now
from appliance.runs.domain import Waiting
from appliance.runs.models import Run

Browsers = Callable[[Role], Client]


def put(text: str = "hi", conversation: str = "shift", *, run: bool | UUID = True, **row: Any) -> UUID:
    identifier = run if isinstance(run, UUID) else uuid7()
    item = OutboxItem(
        f"k/{identifier}",
        "telegram",
        {"text": text},
        conversation=conversation,
        at=None if isinstance(run, UUID) else datetime.now(UTC),
        run_id=identifier if run else None,
        step_id="tell" if run else None,
    )
    found = enqueue_now(item)
    if row:
        OutboxRow.objects.filter(pk=found).update(**row)
    return found


def page(client: Client, query: str = "") -> str:
    answer = client.get(f"/outbox/{query}")
    assert answer.status_code == 200
    return answer.content.decode()


def test_an_empty_outbox_says_what_it_is_for(browser: Browsers) -> None:
    text = page(browser(Role.VIEWER))
    assert "Nothing was sent yet" in text
    assert "No message fits" in page(browser(Role.VIEWER), "?state=failed")
    assert 'href="/outbox/"' in page(browser(Role.VIEWER), "?state=nonsense&before=x&platform=%00")


def test_a_message_that_was_told_in_a_digest_says_so(browser: Browsers) -> None:
    receipt = {"detail": {"digest": 23}, "note": "told in a digest of 23"}
    put("hot", state="delivered", receipt=receipt, reason="told in a digest of 23")
    assert page(browser(Role.VIEWER)).count("told in a digest of 23") == 1


def test_each_target_has_its_own_line(browser: Browsers) -> None:
    now = datetime.now(UTC)
    put("first", next_at=now + timedelta(minutes=3), reason="no answer from the proxy", attempts=4)
    put("second")
    put("other", "office")
    put("over", state="delivered", finished_at=now)
    answer = browser(Role.VIEWER).get("/outbox/")
    places = {row.message["text"]: row.place for row in answer.context["items"]}
    assert places == {"first": 1, "second": 2, "other": 1, "over": None}
    shift = next(one for one in answer.context["targets"] if one.conversation == "shift")
    assert (shift.waiting, shift.reason) == (2, "no answer from the proxy")
    text = answer.content.decode()
    assert "4 attempts" in text
    assert "place 2 in line" in text


def test_the_filter_shows_one_state(browser: Browsers) -> None:
    put("waits")
    put("gone", state="expired", finished_at=datetime.now(UTC))
    text = page(browser(Role.VIEWER), "?state=expired")
    assert "gone" in text
    assert "waits" not in text


def test_an_answer_in_a_chat_is_not_shown_to_others(browser: Browsers) -> None:
    put("between us", "web/ana", run=False)
    assert "between us" not in page(browser(Role.ADMIN))


def test_a_message_is_tried_now_or_dropped_and_both_are_on_record(browser: Browsers) -> None:
    late = put(next_at=datetime.now(UTC) + timedelta(hours=1), reason="away")
    unwanted = put("unwanted")
    client = browser(Role.OPERATOR)
    assert client.post(f"/outbox/{late}/act/", {"do": "retry"})["Location"] == "/outbox/"
    assert OutboxRow.objects.get(pk=late).next_at is None
    client.post(f"/outbox/{unwanted}/act/", {"do": "drop", "next": "//elsewhere.example"})
    row = OutboxRow.objects.get(pk=unwanted)
    assert (row.state, row.reason) == ("failed", "dropped by user:operator")
    said = list(AuditRecord.objects.filter(kind__startswith="outbox.").values_list("kind", "principal"))
    assert sorted(said) == [("outbox.drop", "user:operator"), ("outbox.retry", "user:operator")]


def test_the_page_of_a_run_says_what_its_message_waits_for(
    browser: Browsers, ended_run: Callable[..., UUID]
) -> None:
    run_id = ended_run(state="waiting")
    Run.objects.filter(pk=run_id).update(waiting_for=Waiting.DELIVERY, finished_at=None)
    put(run=run_id, reason="'shift' is <not> configured")
    said = browser(Role.VIEWER).get(f"/runs/{run_id}/").content.decode()
    assert "The message to telegram waits: &#x27;shift&#x27; is &lt;not&gt; configured" in said


def test_what_is_held_says_why_and_until_when(browser: Browsers, ended_run: Callable[..., UUID]) -> None:
    run_id = ended_run(state="waiting")
    Run.objects.filter(pk=run_id).update(waiting_for=Waiting.DELIVERY, finished_at=None)
    end = datetime(2026, 3, 1, 5, tzinfo=UTC)
    put(run=run_id, state="held", next_at=end, reason="quiet hours until 06:00 (Europe/Paris)")
    put(conversation="line", state="held", next_at=end, reason="muted by ana until 05:00 UTC")
    client = browser(Role.OPERATOR)
    run = client.get(f"/runs/{run_id}/").content.decode()
    assert "The message to telegram is held: quiet hours until 06:00 (Europe/Paris)" in run
    listed = page(client, "?state=held")
    assert "muted by ana until 05:00 UTC" in listed
    assert listed.count("1 held") == 2
    assert "Drop" in listed


def test_a_mute_is_listed_and_ended_on_the_page_of_the_platforms(browser: Browsers) -> None:
    now = datetime.now(UTC)
    by = User.objects.create_user("ana", password="x", role=Role.OPERATOR).principal
    mutes.set_mute("telegram", "42", "alert/locked-out", now + timedelta(hours=1), by, now)
    assert "Nothing is muted" not in browser(Role.VIEWER).get("/platforms/").content.decode()
    client = browser(Role.OPERATOR)
    [mute] = mutes.mutes(now)
    said = client.get("/platforms/").content.decode()
    assert "alert/locked-out" in said
    assert f"/platforms/mutes/{mute.id}/end/" in said
    done = client.post(f"/platforms/mutes/{mute.id}/end/", follow=True).content.decode()
    assert "The mute has ended; 0 messages were held." in done
    assert "Nothing is muted" in done


def test_what_comes_too_late_is_said(browser: Browsers) -> None:
    sent = put(state="delivered", finished_at=datetime.now(UTC))
    answer = browser(Role.OPERATOR).post(f"/outbox/{sent}/act/", {"do": "drop"}, follow=True)
    assert "the message is delivered" in answer.content.decode()
    assert browser(Role.OPERATOR).post(f"/outbox/{uuid7()}/act/", {"do": "drop"}).status_code == 404


def test_a_viewer_looks_and_does_nothing(browser: Browsers) -> None:
    item = put()
    assert "Send now" not in page(browser(Role.VIEWER))
    assert browser(Role.VIEWER).post(f"/outbox/{item}/act/", {"do": "drop"}).status_code == 403
    assert Client().get("/outbox/").status_code == 302


def test_the_list_goes_on_where_the_page_before_ended(browser: Browsers) -> None:
    made = [put(f"m{number}") for number in range(60)]
    client = browser(Role.VIEWER)
    first = client.get("/outbox/")
    second = client.get(f"/outbox/?before={first.context['next']}")
    shown = [row.pk for answer in (first, second) for row in answer.context["items"]]
    assert shown == sorted(made, reverse=True)
    assert second.context["next"] is None


def test_many_messages_ask_as_many_questions_as_few(browser: Browsers) -> None:
    client = browser(Role.ADMIN)
    put("a", "c0")
    few = questions(client)
    for number in range(40):
        put("b", f"c{number % 7}")
    assert questions(client) == few <= 20


def questions(client: Client) -> int:
    with CaptureQueriesContext(connection) as asked:
        page(client)
    return len(asked)


def test_programs_see_and_do_the_same(person: Callable[[Role], User]) -> None:
    token = issue_api_token(person(Role.ADMIN), "all", list(Ability), BOX, datetime.now(UTC))
    client = Client(headers={"Authorization": f"Bearer {token}"})
    items = [put(), put()]
    OutboxRow.objects.filter(pk=max(items)).update(seq=10**9)
    items.sort()
    found = client.get("/api/v1/outbox?state=pending&limit=1").json()
    assert [one["id"] for one in found["items"]] == [str(items[1])]
    assert found["items"][0]["place"] == 2
    following = client.get(f"/api/v1/outbox?before={found['next']}").json()
    assert [one["id"] for one in following["items"]] == [str(items[0])]
    assert "text" not in str(found)
    assert client.post(f"/api/v1/outbox/{items[0]}/drop").status_code == 202
    assert client.post(f"/api/v1/outbox/{items[0]}/drop").status_code == 409
    assert client.post(f"/api/v1/outbox/{items[0]}/retry").status_code == 202
    assert client.post(f"/api/v1/outbox/{uuid7()}/retry").status_code == 404
    reader = issue_api_token(person(Role.ADMIN), "reader", [Ability.VIEW], BOX, datetime.now(UTC))
    refused = Client(headers={"Authorization": f"Bearer {reader}"}).post(f"/api/v1/outbox/{items[1]}/drop")
    assert refused.status_code == 403


@pytest.mark.parametrize("query", ["?state=nonsense", "?limit=0", "?before=x"])
def test_what_is_asked_wrongly_is_refused(query: str, browser: Browsers) -> None:
    assert browser(Role.VIEWER).get(f"/api/v1/outbox{query}").status_code == 422
