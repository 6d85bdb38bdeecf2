"""Every broker that a task names must be connected to this box; found when the task is saved."""

from collections.abc import Iterator, Mapping

from appliance.actions.charts import ChartParams
from appliance.bus.brokers.domain import wire_filter
from appliance.bus.topics import parse_pattern
from appliance.lib.jsontypes import JsonValue
from appliance.lib.located.issues import suggestion_or_list
from appliance.lib.located.problems import Path
from appliance.lib.said import say
from appliance.tasks.definition import Issue, TaskDefinition
from appliance.tasks.definition.places import placed_steps


def named_brokers(definition: TaskDefinition, raw: JsonValue = None) -> Iterator[tuple[Path, str]]:
    """Each broker that the task names, with its place in ``raw``, which it was read from."""
    many = _many(raw)
    for index, trigger in enumerate(definition.triggers):
        if trigger.mqtt is not None and trigger.mqtt.broker:
            head: Path = ("triggers", index) if many else ("trigger",)
            yield (*head, "mqtt", "broker"), trigger.mqtt.broker
    for path, step in placed_steps(definition, raw):
        broker = getattr(step.params, "broker", None)
        if isinstance(broker, str):
            yield (*path, "broker"), broker
        chart = getattr(step.params, "chart", None)
        if isinstance(chart, ChartParams) and chart.broker:
            yield (*path, "chart", "broker"), chart.broker


def broker_issues(
    definition: TaskDefinition, raw: JsonValue, known: Mapping[str, str], box: str
) -> Iterator[Issue]:
    """What is wrong with them; ``known`` gives each broker's prefix, ``box`` is this box's id."""
    many = _many(raw)
    for path, broker in named_brokers(definition, raw):
        if broker not in known:
            hint = (
                suggestion_or_list(broker, known) if known else say("connect it first: manage.py brokers add")
            )
            yield Issue(path, say("there is no broker `%(broker)s`", broker=broker), hint=hint)
    head: Path
    for index, trigger in enumerate(definition.triggers):
        spec = trigger.mqtt
        if spec and not spec.broker and _own_topics(spec.topic, box):
            head = ("triggers", index) if many else ("trigger",)
            said = say("the box does not start tasks by what it says itself, nor by its commands")
            yield Issue(
                (*head, "mqtt", "topic"), said, hint=say("use the trigger event, as in event: run.failed")
            )
        prefix = known.get(spec.broker or "", "") if spec else ""
        if spec and prefix and wire_filter(parse_pattern(spec.topic).filter, prefix) is None:
            head = ("triggers", index) if many else ("trigger",)
            said = say("no topic of the broker `%(broker)s` can match this", broker=spec.broker)
            yield Issue(
                (*head, "mqtt", "topic"), said, hint=say("its topics begin with %(prefix)s/", prefix=prefix)
            )


def _many(raw: JsonValue) -> bool:
    """Whether it has a list of triggers, not the one `trigger`."""
    return isinstance(raw, dict) and "triggers" in raw


def _own_topics(topic: str, box: str) -> bool:
    """Whether the pattern is one of the topics that `processes.own_topics` keeps from triggers."""
    levels = topic.split("/")
    return levels[:2] == ["millwright", box] and levels[2:3] in (["events"], ["cmd"])
