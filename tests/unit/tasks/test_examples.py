"""The examples load as they stand, and the brief's file is the brief's."""

from pathlib import Path

import pytest

from appliance.actions.contract import EffectClass
from appliance.actions.registry import registry
from appliance.lib.jsontypes import JsonObject
from appliance.tasks.loader import load_text

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
FILES = sorted(EXAMPLES.glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_example_is_valid(file: Path) -> None:
    assert load_text(file.read_text(encoding="utf-8"), file.name, known_calls={})


def test_examples_can_be_loaded_together() -> None:
    names = [task.definition.name for file in FILES for task in load_text(file.read_text(), file.name)]
    assert len(names) == len(set(names))


def test_the_brief_s_task_means_what_its_author_meant() -> None:
    [task] = load_text((EXAMPLES / "brief_tasks.yaml").read_text(encoding="utf-8"), "brief_tasks.yaml")
    definition = task.definition
    assert (definition.name, [str(t) for t in definition.triggers]) == ("log_monitor", ["cron * * * * *"])
    shell, notification = definition.actions
    kind = registry()["shell"]
    assert (shell.id, shell.cache_key) == ("shell-1", "last_error_timestamp")
    assert kind.default_ok_exit(shell.params) == (0, 1)
    assert kind.effect(shell.params) is EffectClass.PURE
    assert notification.condition is not None
    assert notification.condition.render({"output": ""}) is False
    assert notification.condition.render({"output": "ERROR x"}) is True


def test_the_overheat_guard_acts_on_a_hot_running_pump_only() -> None:
    [task] = load_text((EXAMPLES / "overheat_guard.yaml").read_text(encoding="utf-8"), "overheat_guard.yaml")
    definition = task.definition
    scope: JsonObject = {
        "payload": {"value": 91.5},
        "line": "line1",
        "pump": "p1",
        "vars": definition.vars,
        "task": {"name": definition.name},
    }
    when = definition.triggers[0].when
    assert when is not None
    assert when.render(scope) is True
    assert when.render({**scope, "payload": {"value": 80}}) is False
    steps = {step.id: step for step in definition.actions}
    look = registry()["set"].arguments(
        steps["was_running"].params, scope, lambda topic, age: {"running": False}
    )
    assert look == {"value": False}
    unknown = registry()["set"].arguments(steps["was_running"].params, scope, lambda topic, age: None)
    assert unknown == {"value": True}
    stop = registry()["mqtt"].arguments(steps["stop"].params, scope)
    assert stop["topic"] == "plant/line1/pump/p1/cmd"
    assert stop["payload"] == {"running": False, "reason": "overheat_guard"}
