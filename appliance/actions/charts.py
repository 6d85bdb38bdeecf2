"""``chart:`` of a notification: which readings go with it as a picture, and so which are recorded."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, StringConstraints, field_validator

from appliance.actions.contract import Params
from appliance.bus.places import NAME as BROKER
from appliance.bus.places import OWN, place_of
from appliance.devices.charts.domain import MOST_LINES, ChartSpec
from appliance.devices.readings.domain import ITSELF, Wanted, is_path
from appliance.expressions import Template
from appliance.expressions.fields import TemplateField, TextField
from appliance.expressions.reading import blocks_of
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.lib.located.fields import Duration, refuse
from appliance.lib.said import say
from appliance.lib.topic_filters import filter_fault

AN_HOUR = timedelta(hours=1)
SHORTEST, LONGEST = timedelta(minutes=1), timedelta(days=31)
_COMPUTED = "\x00"
_SECOND = timedelta(seconds=1)


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


class ChartParams(Params):
    topic: Annotated[list[TextField], BeforeValidator(_as_list)]
    """The topic whose readings are shown, or a list of up to four. Every topic that fits it is recorded from then on
    that the task is applied, with `+` in the place of each level that has an expression."""
    path: str = ITSELF
    """Where the number stands in a JSON payload, as `motor.temp`. Without it: the payload itself, or its `value`."""
    last: Duration = AN_HOUR
    """How far back from the event the picture goes: between 1m and 31d. Without it an hour."""
    limit: TemplateField | None = None
    """A number at which a line is drawn."""
    broker: Annotated[str, StringConstraints(pattern=BROKER)] | None = None
    """Which of the brokers connected beside the box's own; without it, the own."""

    @field_validator("path")
    @classmethod
    def _a_path(cls, value: str) -> str:
        if value != ITSELF and not is_path(value):
            raise refuse(
                say("%(path)r is no path", path=value[:80]), say("names with dots between, as motor.temp")
            )
        return value

    @field_validator("last")
    @classmethod
    def _bounded(cls, value: timedelta) -> timedelta:
        if not SHORTEST <= value <= LONGEST:
            raise refuse(say("a chart shows between 1m and 31d"))
        return value

    @field_validator("topic")
    @classmethod
    def _recordable(cls, value: list[Template]) -> list[Template]:
        if not 0 < len(value) <= MOST_LINES:
            raise refuse(say("a chart shows between 1 and %(most)s topics", most=MOST_LINES))
        for topic in value:
            filter_ = filter_of(topic)
            fault = None if filter_ is None else _fault(topic, filter_)
            if fault is not None:
                raise refuse(*fault)
        return value


def _fault(topic: Template, filter_: str) -> tuple[str, str] | None:
    literal = "".join(part for part in topic.source.split("/") if "{{" not in part)
    if "+" in literal or "#" in literal:
        return say("a chart shows topics, not filters"), say("write an expression in the place of + or #")
    if not filter_.replace("+", "").replace("/", ""):
        return (
            say("a chart's topic has at least one level that is written out"),
            say("as in plant/{{ line }}/temp, or {{ topic }} for that of the message"),
        )
    return filter_fault(filter_)


def filter_of(topic: Template) -> str | None:
    """The filter that every topic fits which this can render to; None for ``{{ topic }}``: that of the message."""
    source, text, at = topic.source, "", 0
    blocks = blocks_of(source)
    if len(blocks) == 1 and blocks[0].code.strip() == "topic" and source.strip().startswith("{{"):
        block = blocks[0]
        if not (source[: block.start] + source[block.end :]).strip():
            return None
    for block in blocks:
        text, at = text + source[at : block.start] + _COMPUTED, block.end
    levels = (text + source[at:]).split("/")
    return "/".join("+" if _COMPUTED in level else level for level in levels)


def wanted_by(chart: ChartParams, heard: list[tuple[str, str]]) -> Iterator[Wanted]:
    """What is recorded for a chart. ``heard``: broker and filter of what its task's triggers listen to."""
    broker = chart.broker or OWN
    for topic in chart.topic:
        filter_ = filter_of(topic)
        filters = [filter_] if filter_ is not None else [one for where, one in heard if where == broker]
        for one in filters:
            yield Wanted(one, chart.path, broker)


def spec_of(chart: JsonObject, now: datetime) -> ChartSpec:
    """The chart as its arguments say, fixed at ``now``: up to the end of that second, which may say more yet."""
    topics, last, broker = chart["topic"], chart["last"], str(chart.get("broker") or OWN)
    assert isinstance(topics, list)
    assert isinstance(last, int | float)
    until = now.replace(microsecond=0) + _SECOND
    return ChartSpec(
        topics=tuple(dict.fromkeys(place_of(broker, str(topic).strip()) for topic in topics)),
        path=str(chart.get("path") or ITSELF),
        since=until - timedelta(seconds=last),
        until=until,
        limit=_number(chart.get("limit")),
    )


def _number(value: JsonValue) -> float | None:
    """What is no number draws no line: the message is worth more than that."""
    try:
        number = float(value) if isinstance(value, str | int | float) else None
    except (ValueError, OverflowError):
        return None
    return number if number is not None and abs(number) < float("inf") else None
