"""Which triggers an event fires: pure, over the definitions that are loaded."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from appliance.bus.places import OWN, place_of
from appliance.bus.topics import TopicTable, parse_pattern
from appliance.bus.values import Content
from appliance.expressions import ExpressionError, StateNeeded, StateReader, truth
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.tasks.charted import charted
from appliance.tasks.definition import TaskDefinition, Trigger

EVENT_KEPT = 4096
"""Bytes of a payload that a trace keeps."""

DEEPEST = 64
"""Lists and objects inside each other that a payload may have."""


@dataclass(frozen=True, slots=True, eq=False)
class Armed:
    """A trigger of a task's current version, ready to be matched."""

    task_id: int
    version_id: int
    definition: TaskDefinition
    trigger: Trigger


@dataclass(frozen=True, slots=True)
class Fired:
    armed: Armed
    inputs: JsonObject
    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The trigger looked at the event and left it alone; ``failed`` when it could not even decide."""

    armed: Armed
    reason: str
    event: JsonObject
    failed: bool = False
    captures: JsonObject = field(default_factory=dict)


class PayloadError(ValueError):
    """The payload is not what the trigger says it is."""


def decode(payload: bytes, kind: str, content: Content | None = None) -> JsonValue:
    """A payload as ``json``, ``number`` or ``text``. Raises PayloadError with what was expected.

    ``content`` is what somebody has read of it already.
    """
    if content is not None and content.is_json and kind == "json" and _is_flat(payload):
        return content.value
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        raise PayloadError(f"expected {kind}, got {len(payload)} bytes that are not UTF-8") from None
    if kind == "text":
        return text.replace("\x00", "\ufffd")
    try:
        value: JsonValue = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise PayloadError(f"expected {kind}, got {text[:80]!r}") from None
    if text.count("[") + text.count("{") > DEEPEST and _deeper_than(value, DEEPEST):
        raise PayloadError(f"expected {kind}, got more than {DEEPEST} lists and objects inside each other")
    if kind == "number" and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise PayloadError(f"expected a number, got {text[:80]!r}")
    return value


def _is_flat(payload: bytes) -> bool:
    """Whether it cannot be too deep, whatever stands in it."""
    return payload.count(b"[") + payload.count(b"{") <= DEEPEST


def _deeper_than(value: JsonValue, most: int) -> bool:
    level = [value]
    for _ in range(most):
        level = [
            item
            for one in level
            if isinstance(one, dict | list)
            for item in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return False
    return any(isinstance(one, dict | list) for one in level)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


class TriggerTable:
    """The mqtt, event and task triggers of all enabled tasks; rebuilt when a task changes."""

    def __init__(self, armed: Iterable[Armed]) -> None:
        self._topics: dict[str, TopicTable[tuple[Armed, tuple[str, ...]]]] = {}
        self._events: dict[str, list[Armed]] = {}
        self._by_id: dict[tuple[int, str], Armed] = {}
        self._ends: dict[tuple[str, str], list[Armed]] = {}
        self.kinds: frozenset[str] = frozenset()
        filters: dict[str, set[str]] = {}
        for item in armed:
            self._by_id[item.task_id, item.trigger.id or ""] = item
            trigger = item.trigger
            if trigger.kind == "mqtt" and trigger.mqtt is not None:
                pattern = parse_pattern(trigger.mqtt.topic)
                broker = trigger.mqtt.broker or OWN
                self._topics.setdefault(broker, TopicTable()).add(pattern, (item, pattern.names))
                filters.setdefault(broker, set()).add(pattern.filter)
            elif trigger.kind == "event" and trigger.event is not None:
                self._events.setdefault(trigger.event, []).append(item)
            elif trigger.kind == "task" and trigger.task is not None:
                end = (f"run.{trigger.task.state}", trigger.task.name)
                self._ends.setdefault(end, []).append(item)
        self.charted = frozenset(one for item in self._by_id.values() for one in charted(item.definition))
        for one in self.charted:
            filters.setdefault(one.broker, set()).add(one.filter)
        self.kinds = frozenset(self._events) | {kind for kind, _ in self._ends}
        self._filters = {broker: frozenset(found) for broker, found in filters.items()}

    @property
    def filters(self) -> frozenset[str]:
        """What the triggers and charts on the box's own broker look for."""
        return self.filters_of(OWN)

    def filters_of(self, broker: str) -> frozenset[str]:
        """What the triggers and charts on one broker look for, as the box writes its topics."""
        return self._filters.get(broker, frozenset())

    def match_message(
        self,
        topic: str,
        payload: bytes,
        now: datetime,
        state: StateReader | None = None,
        broker: str = OWN,
        content: Content | None = None,
    ) -> list[Fired | Refused]:
        """What each trigger on this topic of this broker makes of the message; ``state`` reads last values.

        ``content`` is the payload as it was read already.
        """
        table = self._topics.get(broker)
        return [
            self._decide_message(armed, names, captured, topic, payload, now, state, content)
            for (armed, names), captured in (table.match(topic) if table else ())
        ]

    def find(self, task_id: int, trigger: str) -> Armed | None:
        """The trigger of that task's current version; None where there is no such one any more."""
        return self._by_id.get((task_id, trigger))

    def listens(self, kind: str) -> bool:
        """Whether any trigger named this event."""
        return kind in self.kinds

    def match_event(self, kind: str, data: Mapping[str, JsonValue], now: datetime) -> list[Fired | Refused]:
        event: JsonObject = {**data, "type": kind}
        return [
            decide(armed, {"event": event}, {"event": event}, f"event {kind}", now)
            for armed in (*self._events.get(kind, ()), *self._ends.get((kind, str(data.get("task"))), ()))
        ]

    def _decide_message(
        self,
        armed: Armed,
        names: tuple[str, ...],
        captured: tuple[str, ...],
        topic: str,
        payload: bytes,
        now: datetime,
        state: StateReader | None,
        content: Content | None,
    ) -> Fired | Refused:
        mqtt = armed.trigger.mqtt
        assert mqtt is not None
        broker = mqtt.broker or OWN
        seen: JsonObject = {"topic": topic, "payload": payload[:EVENT_KEPT].decode(errors="replace")}
        try:
            value = decode(payload, mqtt.payload, content)
        except PayloadError as error:
            return Refused(armed, str(error), seen, failed=True)
        captures: JsonObject = dict(zip(names, captured, strict=True))
        inputs: JsonObject = {
            "topic": topic,
            "payload": value,
            "captures": captures,
            "event": {"type": "mqtt", "topic": topic, **({"broker": broker} if broker else {})},
        }
        return decide(armed, inputs, seen, f"message on {place_of(broker, topic)}", now, state)


def decide(
    armed: Armed,
    inputs: JsonObject,
    seen: JsonObject,
    reason: str,
    now: datetime,
    state: StateReader | None = None,
) -> Fired | Refused:
    """Whether the trigger's ``when`` says yes to these inputs; ``seen`` is what a trace keeps."""
    when = armed.trigger.when
    if when is None:
        return Fired(armed, inputs, reason)
    scope = event_scope(armed.definition, inputs, now)
    try:
        value = when.render(scope, state=state)
    except (ExpressionError, StateNeeded) as error:
        return Refused(armed, f"when: {error}", seen, failed=True)
    if truth(value):
        return Fired(armed, inputs, reason)
    captures = inputs.get("captures")
    return Refused(
        armed,
        f"when said no: {when.source}",
        seen,
        captures=captures if isinstance(captures, dict) else {},
    )


def event_scope(definition: TaskDefinition, inputs: Mapping[str, Any], now: datetime) -> JsonObject:
    """The names that a trigger's ``when`` sees; a run's scope starts from the same."""
    captures = inputs.get("captures")
    scope: JsonObject = dict(captures) if isinstance(captures, dict) else {}
    for name in ("payload", "topic", "event"):
        if name in inputs:
            scope[name] = inputs[name]
    given = inputs.get("vars")
    scope["vars"] = {**definition.vars, **(given if isinstance(given, dict) else {})}
    scope["task"] = {"name": definition.name}
    scope["now"] = now.isoformat()
    return scope
