"""Going on from an ended run, and undoing it: page, API and command say the same."""

from collections.abc import Callable
from datetime import UTC, datetime
from io import StringIO
from uuid import UUID

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.test import Client

from appliance.accounts.domain import Role
from appliance.accounts.principal import BOX
from appliance.lib.identity import uuid7
from appliance.runs.models import Run, Step
from appliance.tasks.models import Task
from appliance.tasks.services import apply_text

Browsers = Callable[[Role], Client]
TEXT = """- name: build
  trigger: manual
  vars: {colour: red}
  actions:
    - {id: fetch, type: set, value: 1}
    - {id: paint, type: shell, args: [paint, "{{ vars.colour }}"], undo: {type: shell, args: [strip]}}
    - {id: pack, type: shell, args: [pack]}
"""


@pytest.fixture(autouse=True)
def _silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.runs.hints.send", lambda run_ids: None)


@pytest.fixture
def failed(db: None) -> UUID:
    """A run that painted and could not pack."""
    apply_text(TEXT, "build.yaml", BOX, datetime.now(UTC))
    task, run_id, now = Task.objects.get(name="build"), uuid7(), datetime.now(UTC)
    Run.objects.create(
        id=run_id,
        task_id=task.pk,
        version_id=task.current_id or 0,
        state="failed",
        reason="step pack: exit status 1",
        principal="user:ana",
        origin="manual",
        trigger="manual",
        created_at=now,
        started_at=now,
        finished_at=now,
        epoch=1,
    )
    for place, (step, kind, effect, state) in enumerate(
        (
            ("fetch", "set", "pure", "succeeded"),
            ("paint", "shell", "unsafe", "succeeded"),
            ("pack", "shell", "unsafe", "failed"),
        )
    ):
        Step.objects.create(
            run_id=run_id,
            step=step,
            attempt=1,
            position=place,
            kind=kind,
            effect=effect,
            state=state,
            epoch=1,
            started_at=now,
            finished_at=now,
        )
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO runs_checkpoint (run_id, step, digest, number, attempt, form, size, content)"
            " VALUES (%s, 'pack', 'd', 4, 1, 'file', 3, 'abc')",
            [run_id],
        )
    return run_id


def test_the_page_offers_each_step_the_checkpoints_and_the_undo(browser: Browsers, failed: UUID) -> None:
    page = browser(Role.OPERATOR).get(f"/runs/{failed}/").content.decode()
    for step in ("fetch", "paint", "pack"):
        assert f'href="?from={step}#resume"' in page
    assert 'id="checkpoints"' in page
    assert 'id="undo"' in page
    assert 'name="repeat"' not in page  # where it stopped nothing would be done twice


def test_a_viewer_is_offered_neither(browser: Browsers, failed: UUID) -> None:
    page = browser(Role.VIEWER).get(f"/runs/{failed}/").content.decode()
    assert 'id="resume"' not in page
    assert 'id="undo"' not in page
    assert "#resume" not in page


def test_a_step_whose_repetition_is_not_harmless_asks_for_a_tick(browser: Browsers, failed: UUID) -> None:
    client = browser(Role.OPERATOR)
    assert 'name="repeat"' in client.get(f"/runs/{failed}/?from=paint").content.decode()
    answer = client.post(f"/runs/{failed}/resume/", {"step": "paint"}, follow=True)
    assert "Tick the box" in answer.content.decode()
    assert Run.objects.count() == 1
    answer = client.post(f"/runs/{failed}/resume/", {"step": "paint", "repeat": "on", "vars": "colour: blue"})
    new = Run.objects.exclude(pk=failed).get()
    assert answer["Location"] == f"/runs/{new.pk}/"
    assert (new.forked_from, new.forked_at_step, new.inputs) == (
        failed,
        "paint",
        {"vars": {"colour": "blue"}},
    )
    page = client.get(f"/runs/{failed}/").content.decode()
    assert f'href="/runs/{new.pk}/"' in page
    page = client.get(f"/runs/{new.pk}/").content.decode()
    assert "done by run" in page
    assert f'href="/runs/{failed}/"' in page


def test_the_command_goes_on_from_where_it_stopped_with_the_last_checkpoint(failed: UUID) -> None:
    out = StringIO()
    call_command("runs", "resume", str(failed), stdout=out)
    new = Run.objects.exclude(pk=failed).get()
    assert out.getvalue().strip() == str(new.pk)
    with connection.cursor() as cursor:
        cursor.execute("SELECT step, number, content FROM runs_checkpoint WHERE run_id = %s", [new.pk])
        ((step, number, content),) = cursor.fetchall()
    assert (step, number, bytes(content)) == ("pack", 1, b"abc")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--checkpoint", "9"], "no checkpoint 9"),
        (["--from", "paint", "--checkpoint", "4"], "checkpoint 4 is of step pack"),
        (["--from", "paint"], "do again what was done"),
        (["--from", "oops"], "no action 'oops'"),
    ],
)
def test_what_the_command_refuses_it_explains(failed: UUID, options: list[str], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        call_command("runs", "resume", str(failed), *options)


def test_the_command_undoes(failed: UUID) -> None:
    call_command("runs", "undo", str(failed), stdout=StringIO())
    run = Run.objects.get(pk=failed)
    assert (run.state, run.undo_requested, run.finished_at) == ("queued", True, None)
    with pytest.raises(CommandError, match="not ended yet"):
        call_command("runs", "undo", str(failed))


def test_the_page_undoes(browser: Browsers, failed: UUID) -> None:
    browser(Role.OPERATOR).post(f"/runs/{failed}/undo/")
    assert Run.objects.get(pk=failed).undo_requested


def test_the_api_resumes_lists_and_undoes(browser: Browsers, failed: UUID) -> None:
    client = browser(Role.OPERATOR)
    (kept,) = client.get(f"/api/v1/runs/{failed}/checkpoints").json()
    assert (kept["number"], kept["step"], kept["size"]) == (4, "pack", 3)
    refused = client.post(f"/api/v1/runs/{failed}/resume", {"step": "paint"}, content_type="application/json")
    assert (refused.status_code, refused.json()["code"]) == (409, "runs.would_repeat")
    taken = client.post(f"/api/v1/runs/{failed}/resume", {"checkpoint": 4}, content_type="application/json")
    assert taken.status_code == 202
    detail = client.get(f"/api/v1/runs/{taken.json()['run_id']}").json()
    assert (detail["forked_from"], detail["forked_at_step"]) == (str(failed), "pack")
    assert client.post(f"/api/v1/runs/{failed}/undo").status_code == 202
