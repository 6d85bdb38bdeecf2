"""Which lane a task takes follows from its definition, and the reason names what decided."""

import pytest

from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.runs.reflex.choice import LaneName, LaneReason, lane_of
from appliance.tasks.definition import TaskDefinition
from appliance.tasks.definition.task import define


def definition(actions: JsonValue, **keys: JsonValue) -> TaskDefinition:
    raw: JsonObject = {
        "name": "t",
        "triggers": [{"id": "m", "mqtt": {"topic": "a/b"}}],
        "actions": actions,
        **keys,
    }
    made, issues = define(raw)
    assert made is not None, issues
    return made


SET: JsonObject = {"type": "set", "value": 1}
MQTT: JsonObject = {"type": "mqtt", "topic": "out", "payload": 1}


@pytest.mark.parametrize(
    "actions",
    [
        [SET],
        [MQTT],
        [{"type": "wait", "duration": "1s"}],
        [SET, MQTT, {"type": "notification", "platform": "loopback", "message": "m"}],
    ],
)
def test_instant_steps_take_the_reflex_lane(actions: JsonValue) -> None:
    assert lane_of(definition(actions)).lane is LaneName.REFLEX


@pytest.mark.parametrize(
    ("actions", "said"),
    [
        ([MQTT, {"type": "shell", "args": ["/bin/true"]}], LaneReason.SLOW_STEP),
        ([{**MQTT, "effect": "unsafe"}], LaneReason.UNSAFE_STEP),
        ([{**SET, "cache_key": "k"}], LaneReason.KEPT_VALUES),
        ([{"type": "set", "value": "{{ cache.k }}"}], LaneReason.KEPT_VALUES),
    ],
)
def test_a_step_that_needs_more_sends_the_task_to_the_workers(actions: JsonValue, said: LaneReason) -> None:
    choice = lane_of(definition(actions))
    assert choice.lane is LaneName.WORKER
    assert choice.reason is said
    assert choice.step


def test_a_failure_branch_counts_too() -> None:
    made = definition([SET], on_failure=[{"type": "shell", "args": ["/bin/true"]}])
    assert lane_of(made).lane is LaneName.WORKER


def test_a_task_that_no_message_starts_is_for_the_workers() -> None:
    made, _ = define({"name": "t", "trigger": "manual", "actions": [SET]})
    assert made is not None
    assert lane_of(made).lane is LaneName.WORKER


def test_a_task_that_may_have_to_be_undone_goes_to_the_workers() -> None:
    undone: JsonObject = {**MQTT, "undo": MQTT}
    assert lane_of(definition([undone], on_failure="undo")).reason is LaneReason.UNDO
    assert lane_of(definition([undone])).lane is LaneName.REFLEX
