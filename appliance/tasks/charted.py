"""The readings that a task's charts show: they are recorded for as long as the task is switched on."""

from collections.abc import Iterator

from appliance.actions.charts import ChartParams, filter_of, wanted_by
from appliance.bus.places import OWN
from appliance.bus.topics import parse_pattern
from appliance.devices.readings.domain import Wanted
from appliance.lib.jsontypes import JsonValue
from appliance.lib.located.problems import Path
from appliance.lib.said import say
from appliance.tasks.definition import Issue, TaskDefinition
from appliance.tasks.definition.places import placed_steps


def charted(definition: TaskDefinition) -> Iterator[Wanted]:
    """What is to be recorded for this task."""
    heard = _heard(definition)
    for _, step in placed_steps(definition, None):
        chart = getattr(step.params, "chart", None)
        if isinstance(chart, ChartParams):
            yield from wanted_by(chart, heard)


def chart_issues(definition: TaskDefinition, raw: JsonValue) -> Iterator[Issue]:
    """Charts of the message's own topic in a task that hears none on that broker."""
    heard = {broker for broker, _ in _heard(definition)}
    for path, step in placed_steps(definition, raw):
        chart = getattr(step.params, "chart", None)
        if not isinstance(chart, ChartParams) or (chart.broker or OWN) in heard:
            continue
        if any(filter_of(topic) is None for topic in chart.topic):
            yield _unheard((*path, "chart", "topic"))


def _unheard(path: Path) -> Issue:
    return Issue(
        path,
        say("no trigger of this task hears messages on the chart's broker"),
        hint=say("write the topic out, or name the trigger's `broker` in the chart too"),
    )


def _heard(definition: TaskDefinition) -> list[tuple[str, str]]:
    return [
        (trigger.mqtt.broker or OWN, parse_pattern(trigger.mqtt.topic).filter)
        for trigger in definition.triggers
        if trigger.mqtt is not None
    ]
