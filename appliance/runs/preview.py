"""What a task would do, without doing it: expressions are evaluated, effects are not performed."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from appliance.actions.contract import ActionKind
from appliance.actions.registry import registry
from appliance.bus.topics import TopicTable, parse_pattern
from appliance.expressions import ExpressionError, StateNeeded, truth
from appliance.lib.errors import MillwrightError
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.runs.plan import Progress
from appliance.runs.scope import step_scope
from appliance.tasks.definition import OnError, StepSpec, TaskDefinition
from appliance.tasks.definition.names import brought_by
from appliance.tasks.matching import event_scope
from appliance.tasks.phrases import Sentence, normalised


class NotItsSentence(MillwrightError):
    code = "runs.not_its_sentence"


UNKNOWN = "<output of the step before>"
_ALWAYS_KNOWN = {"vars", "task", "now"}


def preview(definition: TaskDefinition, inputs: JsonObject, now: datetime) -> Iterator[str]:
    """One line per step. What only a real run can know is named, not invented."""
    base = event_scope(definition, inputs, now)
    base["run"] = {"id": "dry-run", "origin": "dry-run", "trigger": ""}
    progress = Progress()
    for spec in definition.actions:
        line, output = _line(spec, base, progress)
        yield f"{spec.id} ({spec.type}): {line}"
        progress.outputs[spec.id] = output
        progress.output, progress.has_output = output, True


def _line(spec: StepSpec, base: JsonObject, progress: Progress) -> tuple[str, JsonValue]:
    """What one step would do, and the output it would leave."""
    kind = registry()[spec.type]
    scope: dict[str, Any] = step_scope(base, progress, {}, spec)
    depends = any(name.startswith("output") for name in spec.names[0])
    try:
        said = ""
        if spec.condition is not None:
            if depends:
                said = f"if {spec.condition.source}: "
            elif not truth(spec.condition.render(scope)):
                return f"skipped, because {spec.condition.source} is not true", None
        arguments = kind.arguments(spec.params, scope)
        effect = spec.effect or kind.effect(spec.params)
        output = arguments["value"] if spec.type == "set" else UNKNOWN
        return f"{said}would do [{effect}] {json.dumps(arguments, ensure_ascii=False)}", output
    except StateNeeded as needed:
        return f"depends on the last value of {needed.topic}", UNKNOWN
    except (ExpressionError, MillwrightError) as error:
        return f"would fail: {error}", None


def lacking(definition: TaskDefinition, inputs: JsonObject, now: datetime) -> list[str]:
    """The names that only a trigger brings and that a run with these inputs surely fails without.

    A step that looks at anything else may be skipped, and says nothing.
    """
    base = event_scope(definition, inputs, now)
    brought = frozenset[str]().union(*(brought_by(trigger) for trigger in definition.triggers)) - base.keys()
    if definition.gate is not None:
        return []
    return sorted({name for spec in definition.actions for name in _missed(spec, base, brought)})


def _missed(spec: StepSpec, base: JsonObject, brought: frozenset[str]) -> frozenset[str]:
    """Those of one step; none where it could be skipped, or fail and the task go on."""
    needed, seen = ({name.partition(".")[0] for name in names} for names in (spec.names[0], _all(spec)))
    kind = registry()[spec.type]
    if seen - brought - _ALWAYS_KNOWN or spec.gate is not None or spec.on_error is OnError.CONTINUE:
        return frozenset()
    if not isinstance(kind, ActionKind):
        return frozenset()
    try:
        if spec.condition is None or truth(spec.condition.render(base)):
            kind.arguments(spec.params, base)
    except StateNeeded:
        return frozenset()
    except ExpressionError:
        return brought & needed
    return frozenset()


def _all(spec: StepSpec) -> frozenset[str]:
    needed, guarded = spec.names
    return needed | guarded


def captures_of(definition: TaskDefinition, topic: str | None) -> JsonObject:
    """What the task's mqtt triggers capture from a topic; empty where none listens there."""
    for trigger in definition.triggers:
        if topic is not None and trigger.mqtt is not None:
            table: TopicTable[tuple[str, ...]] = TopicTable()
            pattern = parse_pattern(trigger.mqtt.topic)
            table.add(pattern, pattern.names)
            for names, captured in table.match(topic):
                return dict(zip(names, captured, strict=True))
    return {}


def said_to(definition: TaskDefinition, text: str) -> JsonObject:
    """What a sentence brings to the task's chat triggers, as the box itself says it. Raises NotItsSentence."""
    said = normalised(text)
    for trigger in definition.triggers:
        for phrase in trigger.chat.phrases if trigger.chat and said else ():
            captures = phrase.match(Sentence(said))
            if captures is not None:
                payload: JsonObject = {"text": said, "platform": "", "conversation": "", "person": ""}
                return {"payload": payload, "captures": dict(captures), "event": {"type": "chat"}}
    raise NotItsSentence(f"no chat trigger of {definition.name!r} has the sentence {text[:80]!r}")
