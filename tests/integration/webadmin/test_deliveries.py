"""The page of a run says of each message to whom it goes, how far it is, and what proves it; so do API and console."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client

from appliance.accounts.domain import Role
from appliance.outbox.models import OutboxRow
from appliance.outbox.ports import OutboxItem
from appliance.outbox.services import enqueue_now
from appliance.runs.domain import Waiting
from appliance.runs.models import Run

Browsers = Callable[[Role], Client]
NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)


@pytest.fixture
def tell(ended_run: Callable[..., UUID]) -> Callable[..., UUID]:
    """A run with a step that tells somebody; ``row`` is how far its message is."""

    def make(**row: Any) -> UUID:
        run_id = ended_run(steps=1)
        with connection.cursor() as cursor:
            cursor.execute("UPDATE runs_step SET kind = 'notification' WHERE run_id = %s", [run_id])
        item = OutboxItem(
            f"{run_id}/m", "telegram", {"text": "hi"}, "-100/4", run_id=run_id, step_id="step-0"
        )
        OutboxRow.objects.filter(pk=enqueue_now(item)).update(**row)
        if row.get("state", "pending") in ("pending", "sending"):
            Run.objects.filter(pk=run_id).update(
                state="waiting", waiting_for=Waiting.DELIVERY, finished_at=None
            )
        return run_id

    return make


def page(client: Client, run_id: UUID) -> str:
    answer = client.get(f"/runs/{run_id}/")
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def deliveries(text: str) -> str:
    return text.partition('<ul class="plain deliveries">')[2].partition("</ul>")[0]


def test_one_that_waits_says_why_until_when_and_is_looked_at_again(
    tell: Callable[..., UUID], browser: Browsers
) -> None:
    run_id = tell(reason="no <answer>", attempts=3, next_at=NOW, repeat_possible=True)
    text = page(browser(Role.VIEWER), run_id)
    said = deliveries(text)
    for words in ("waiting", "-100/4", "no &lt;answer&gt;", "3 attempts", "next attempt", "may come twice"):
        assert words in said
    assert 'id="steps"' in text
    assert 'data-live-every="5"' in text.partition('id="steps"')[2][:200]


def test_one_that_is_held_says_so_and_until_when(tell: Callable[..., UUID], browser: Browsers) -> None:
    said = deliveries(page(browser(Role.VIEWER), tell(state="held", reason="quiet hours", next_at=NOW)))
    assert "quiet hours" in said
    assert "2026-11-28 12:00:00 UTC" in said


def test_one_that_arrived_shows_its_proof(tell: Callable[..., UUID], browser: Browsers) -> None:
    receipt = {
        "platform": "telegram",
        "conversation": "-100777",
        "message_ids": ["81", "82"],
        "at": NOW.isoformat(),
        "note": "told in a digest",
        "detail": {},
    }
    run_id = tell(
        state="delivered", receipt=receipt, reason="told in a digest", attempts=1,
        repeat_possible=True, finished_at=NOW + timedelta(seconds=1),
    )  # fmt: skip
    text = page(browser(Role.VIEWER), run_id)
    said = deliveries(text)
    for words in ("delivered", "-100777", "81, 82", "2026-11-28 12:00:00 UTC", "may have come twice"):
        assert words in said
    assert said.count("told in a digest") == 1
    assert "data-live-every" not in text.partition('id="steps"')[2][:200]


@pytest.mark.parametrize("state", ["failed", "expired"])
def test_one_that_was_given_up_says_why(state: str, tell: Callable[..., UUID], browser: Browsers) -> None:
    said = deliveries(page(browser(Role.VIEWER), tell(state=state, reason="chat not found", finished_at=NOW)))
    assert state in said
    assert "chat not found" in said
    assert "next attempt" not in said


def test_the_api_and_the_console_say_the_same(tell: Callable[..., UUID], browser: Browsers) -> None:
    run_id = tell(reason="no answer", attempts=2, next_at=NOW)
    [one] = browser(Role.VIEWER).get(f"/api/v1/runs/{run_id}").json()["deliveries"]
    assert (one["step"], one["platform"], one["to"]) == ("step-0", "telegram", "-100/4")
    assert (one["state"], one["reason"], one["attempts"]) == ("pending", "no answer", 2)
    said, known = StringIO(), StringIO()
    call_command("runs", "show", str(run_id), stdout=said)
    call_command("runs", "show", str(run_id), "--json", stdout=known)
    assert "message of step-0 to telegram -100/4: pending, next attempt 12:00:00 UTC" in said.getvalue()
    [again] = json.loads(known.getvalue())["deliveries"]
    assert (again["id"], again["reason"]) == (one["id"], "no answer")


def test_a_run_that_tells_nobody_is_not_asked_about(
    ended_run: Callable[..., UUID], browser: Browsers
) -> None:
    assert deliveries(page(browser(Role.VIEWER), ended_run())) == ""
