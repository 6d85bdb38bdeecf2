"""What a task's charts record, and which charts are refused when it is saved."""

from datetime import UTC, datetime, timedelta

import pytest

from appliance.actions.charts import spec_of
from appliance.devices.readings.domain import Wanted
from appliance.lib.jsontypes import JsonObject
from appliance.tasks.charted import charted
from appliance.tasks.definition import TaskDefinition
from appliance.tasks.errors import TaskFileError
from appliance.tasks.matching import Armed, TriggerTable
from tests.definitions import task_of

NOW = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
TASK = """
- name: hot
  triggers:
    - mqtt: {{topic: "plant/{{line}}/pump/{{pump}}/temp", payload: json{broker}}}
  actions:
    - type: notification
      platform: telegram
      message: hot
      chart: {chart}
"""


def task(chart: str, broker: str = "") -> TaskDefinition:
    return task_of(TASK.format(chart=chart, broker=broker))


@pytest.mark.parametrize(
    ("chart", "wanted"),
    [
        ('{topic: "plant/{{ line }}/pump/{{ pump }}/temp"}', {Wanted("plant/+/pump/+/temp")}),
        (
            '{topic: "plant/{{ line }}/pump-{{ pump }}/t", path: motor.temp}',
            {Wanted("plant/+/+/t", "motor.temp")},
        ),
        ('{topic: ["a/b", "a/{{ pump ~ \'/\' }}"], last: 2h}', {Wanted("a/b"), Wanted("a/+")}),
        ('{topic: "{{ topic }}"}', {Wanted("plant/+/pump/+/temp")}),
    ],
)
def test_a_chart_records_what_its_topic_can_be(chart: str, wanted: set[Wanted]) -> None:
    definition = task(chart)
    assert set(charted(definition)) == wanted
    assert set(charted(TaskDefinition.from_canonical(definition.to_canonical()))) == wanted


def test_what_is_charted_is_listened_to() -> None:
    definition = task("{topic: plant/flow, broker: hall}")
    table = TriggerTable([Armed(1, 10, definition, trigger) for trigger in definition.triggers])
    assert table.filters_of("hall") == {"plant/flow"}
    assert table.charted == {Wanted("plant/flow", broker="hall")}


@pytest.mark.parametrize(
    ("chart", "said"),
    [
        ('{topic: "{{ line }}/{{ pump }}"}', "at least one level that is written out"),
        ('{topic: "plant/#"}', "not filters"),
        ('{topic: "plant/a b"}', "character"),
        ("{topic: plant/t, path: a..b}", "is no path"),
        ("{topic: plant/t, last: 1s}", "between 1m and 31d"),
        ("{topic: [a/1, a/2, a/3, a/4, a/5]}", "between 1 and 4 topics"),
        ("{topic: plant/t, broker: hall, path: ok, colour: red}", "colour"),
        ('{topic: "plant/{{ nobody }}/t"}', "nobody"),
        ('{topic: "{{ topic }}", broker: hall}', "no trigger of this task hears messages"),
    ],
)
def test_a_chart_that_cannot_be_meant_is_refused(chart: str, said: str) -> None:
    with pytest.raises(TaskFileError) as refused:
        task(chart)
    assert said in "; ".join(problem.message for problem in refused.value.problems)


def test_the_window_ends_with_the_second_of_the_event() -> None:
    chart: JsonObject = {
        "topic": ["plant/t", "plant/t"],
        "path": "",
        "last": 3600.0,
        "limit": "80",
        "broker": "hall",
    }
    spec = spec_of(chart, NOW)
    assert spec.until == datetime(2026, 3, 1, 12, 0, 1, tzinfo=UTC)
    assert spec.since == spec.until - timedelta(hours=1)
    assert (spec.topics, spec.limit) == (("hall#plant/t",), 80.0)
    assert spec_of({"topic": ["t"], "last": 60.0, "limit": "high"}, NOW).limit is None
