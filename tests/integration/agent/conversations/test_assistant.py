"""The assistant that ships is a task like any other: applied, switched, and never written over."""

import json
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from appliance.accounts.principal import CONSOLE
from appliance.agent import assistant
from appliance.agent.actions.agent import AgentParams
from appliance.agent.domain import Mode, Risk
from appliance.agent.tools.registry import named, tools
from appliance.tasks.loader import load_text
from appliance.tasks.models import Task, TaskVersion
from appliance.tasks.services import apply_text

NOW = datetime.now(UTC)
pytestmark = pytest.mark.django_db


def run(*words: str) -> str:
    said = StringIO()
    call_command("assistant", *words, stdout=said)
    return said.getvalue()


def status() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("status", "--json"))
    return found


def test_it_is_applied_once_and_switched_off_and_on() -> None:
    assert "There is no assistant yet" in run("status")
    with pytest.raises(CommandError, match="nothing to switch off"):
        run("off")
    assert "is on, as it ships" in run("on")
    assert "is on, as it ships" in run("on")
    assert TaskVersion.objects.count() == 1
    assert "is off" in run("off")
    assert status() == {
        "task": "assistant", "present": True, "enabled": False, "changed": False, "current": True,
    }  # fmt: skip
    run("on")
    assert Task.objects.get().enabled


def test_what_people_have_changed_stays_until_they_say_replace() -> None:
    run("on")
    own = assistant.shipped().replace("max_tokens: 700", "max_tokens: 300")
    apply_text(own, "browser", CONSOLE, NOW)
    assert "a version of your own" in run("on")
    assert "max_tokens: 300" in run("show")
    assert "max_tokens: 700" in run("show", "--shipped")
    assert status()["changed"] is True
    assert "as it ships" in run("on", "--replace")
    assert "max_tokens: 700" in run("show")
    assert TaskVersion.objects.count() == 3


def test_one_that_an_earlier_release_shipped_is_brought_up_to_date() -> None:
    older = assistant.shipped().replace("max_tokens: 700", "max_tokens: 500")
    apply_text(older, assistant.SOURCE, CONSOLE, NOW)
    assert "an earlier release" in run("status")
    run("on")
    assert status()["current"] is True


def test_it_may_look_and_propose_and_nothing_else() -> None:
    (loaded,) = load_text(assistant.shipped(), "assistant.yaml")
    params = loaded.definition.actions[0].params
    assert isinstance(params, AgentParams)
    assert (params.mode, params.conversation) == (Mode.PROPOSE, True)
    given = [tools()[name] for name in named(params.tools)]
    assert [one.name for one in given if one.risk is not Risk.READ and not one.reviewed] == []
    assert {"knowledge.search", "logs", "task_propose", "notes.propose"} <= {one.name for one in given}
    assert loaded.definition.overlap is not None
    assert loaded.definition.principal == "operator"
