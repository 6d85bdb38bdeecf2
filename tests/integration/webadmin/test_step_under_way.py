"""A step that only reads is seen while it runs, although nothing is committed when it begins."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from appliance.accounts.domain import Role
from appliance.accounts.principal import BOX
from appliance.runs.models import Run, Step
from appliance.runs.services import start_task
from appliance.runs.under_way import steps_of
from appliance.tasks.services import apply_text

pytestmark = pytest.mark.django_db
Browsers = Callable[[Role], Client]
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TEXT = """- name: reader
  trigger: manual
  actions:
    - {id: first, type: set, value: 1}
    - {id: look, type: shell, command: "tail -f /var/log/line", retry: 3}
    - {id: last, type: set, value: 2}
"""
LOOK = {"step": "look", "kind": "shell", "effect": "pure", "position": 1}


@pytest.fixture
def run() -> Run:
    """Claimed a minute ago, and its first step done half a minute ago."""
    apply_text(TEXT, "f.yaml", BOX, NOW)
    run_id = start_task("reader", BOX, NOW)
    begun = NOW - timedelta(minutes=1)
    Run.objects.filter(pk=run_id).update(
        state="running", started_at=begun, lease_until=NOW + timedelta(seconds=10), epoch=1
    )
    found = Run.objects.get(pk=run_id)
    row(found, "first", kind="set", effect="pure", state="succeeded", position=0)
    return found


def row(run: Run, step: str, **more: Any) -> None:
    values = {
        "attempt": 1,
        "epoch": 1,
        "started_at": NOW - timedelta(minutes=1),
        "finished_at": NOW - timedelta(seconds=30),
    }
    Step.objects.create(run_id=run.pk, step=step, **{**values, **more})


def seen(run: Run) -> list[tuple[str, int, str]]:
    return [(one.step, one.attempt, one.state) for one in steps_of(run, NOW)]


def test_it_is_said_to_run_since_the_step_before_it_ended(run: Run) -> None:
    first, look = steps_of(run, NOW)
    assert (first.step, first.state) == ("first", "succeeded")
    assert {key: getattr(look, key) for key in LOOK} == LOOK
    assert (look.state, look.attempt, look.finished_at) == ("running", 1, None)
    assert look.started_at == NOW - timedelta(seconds=30)
    assert Step.objects.filter(run_id=run.pk).count() == 1, "nothing is written for it"


def test_before_the_first_row_it_is_the_first_step(run: Run) -> None:
    Step.objects.filter(run_id=run.pk).delete()
    assert seen(run) == [("first", 1, "running")]


@pytest.mark.parametrize(
    "change",
    [
        {"lease_until": NOW - timedelta(seconds=1)},
        {"lease_until": None},
        {"state": "waiting", "waiting_for": "timer"},
        {"state": "queued"},
        {"state": "failed"},
        {"version_id": 10**9},
    ],
)
def test_where_nobody_is_at_it_nothing_is_said_to_run(run: Run, change: dict[str, Any]) -> None:
    for name, value in change.items():
        setattr(run, name, value)
    assert seen(run) == [("first", 1, "succeeded")]


def test_a_row_of_its_own_says_it_already(run: Run) -> None:
    row(run, "look", position=1, kind="shell", effect="idempotent", state="intent", finished_at=None)
    assert seen(run)[1:] == [("look", 1, "intent")]


def test_another_attempt_runs_once_it_is_due(run: Run) -> None:
    failed = {"position": 1, "kind": "shell", "effect": "pure", "state": "failed"}
    row(run, "look", **failed, due_at=NOW + timedelta(seconds=5))
    assert seen(run)[1:] == [("look", 1, "failed")]
    Step.objects.filter(run_id=run.pk, step="look").update(due_at=NOW)
    assert seen(run)[1:] == [("look", 1, "failed"), ("look", 2, "running")]


def test_from_a_list_that_was_cut_nothing_follows(run: Run) -> None:
    row(run, "look", position=1, kind="shell", effect="pure", state="succeeded")
    told = [[(one.step, one.state) for one in steps_of(run, NOW, most)] for most in (1, 3)]
    rows = [("first", "succeeded"), ("look", "succeeded")]
    assert told == [rows[:1], [*rows, ("last", "running")]]


def test_page_api_and_command_show_it(
    run: Run, browser: Browsers, capsys: pytest.CaptureFixture[str]
) -> None:
    Run.objects.filter(pk=run.pk).update(lease_until=datetime.now(UTC) + timedelta(minutes=1))
    client = browser(Role.VIEWER)
    page = " ".join(client.get(f"/runs/{run.pk}/").content.decode().split())
    assert 'class="card step busy" id="step-look-1"' in page
    assert 'data-output="look"' in page
    steps = client.get(f"/api/v1/runs/{run.pk}/steps").json()
    assert [(one["step"], one["state"]) for one in steps] == [("first", "succeeded"), ("look", "running")]
    call_command("runs", "show", str(run.pk), "--json")
    shown = json.loads(capsys.readouterr().out)["steps"]
    assert [(one["step"], one["state"]) for one in shown] == [("first", "succeeded"), ("look", "running")]
