"""A message to a platform that the box does not have is said when the task is saved, and saved all the same."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.core.management import call_command

from appliance.accounts.principal import BOX
from appliance.bridges.models import Platform
from appliance.tasks.loader import load_text
from appliance.tasks.models import Task
from appliance.tasks.services import apply_text

NOW = datetime(2026, 3, 1, tzinfo=UTC)
TEXT = """- name: told
  trigger: manual
  actions:
    - type: notification
      platform: webchat
      message: "here"
    - type: parallel
      branches:
        one:
          - type: notification
            platform: telegam
            message: "there"
    - type: mqtt
      topic: a/b
      payload: 1
      undo: {type: notification, platform: pager, message: "back"}
  on_failure:
    - {type: notification, platform: line-2, message: "{{ error }}"}
"""


def test_each_place_is_said_with_the_nearest_name() -> None:
    (task,) = load_text(TEXT, "f.yaml", known_platforms={"webchat", "telegram"})
    found = [(one.line, one.column, one.path, one.message, one.hint) for one in task.warnings]
    setup = "set it up on the page Platforms, or with manage.py platforms load"
    assert found == [
        (
            11,
            23,
            "[0].actions[1].branches.one[0].platform",
            "there is no platform `telegam` yet",
            "did you mean `telegram`?",
        ),
        (16, 44, "[0].actions[2].undo.platform", "there is no platform `pager` yet", setup),
        (18, 38, "[0].on_failure[0].platform", "there is no platform `line-2` yet", setup),
    ]


def test_without_a_box_nothing_is_known_to_be_missing() -> None:
    (task,) = load_text(TEXT, "f.yaml")
    assert task.warnings == ()


@pytest.mark.django_db
def test_the_task_is_saved_and_the_box_knows_its_own_platforms() -> None:
    Platform.objects.create(name="line-2", kind="telegram")
    (applied,) = apply_text(TEXT, "f.yaml", BOX, NOW)
    assert [one.message for one in applied.warnings] == [
        "there is no platform `telegam` yet",
        "there is no platform `pager` yet",
    ]
    assert Task.objects.get().current is not None
    (again,) = apply_text(TEXT, "f.yaml", BOX, NOW)
    assert again.warnings == applied.warnings


@pytest.mark.django_db
def test_the_commands_say_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "told.yaml"
    file.write_text(TEXT)
    call_command("tasks", "validate", file, "--json")
    assert json.loads(capsys.readouterr().out)["warnings"] == []
    call_command("tasks", "validate", file, "--here")
    assert f"warning: {file}:11:23: " in capsys.readouterr().out
    call_command("tasks", "apply", file)
    said = capsys.readouterr()
    assert "told: created, version 1" in said.out
    assert "did you mean `telegram`?" not in said.err, "no telegram here to be meant"
    assert "there is no platform `telegam` yet" in said.err
