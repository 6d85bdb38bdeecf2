"""Which lane a task takes, and why: pure, from its definition alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from appliance.actions.contract import EffectClass
from appliance.actions.registry import registry
from appliance.tasks.definition import StepSpec, TaskDefinition


class LaneName(StrEnum):
    REFLEX = "reflex"
    WORKER = "worker"


class LaneReason(StrEnum):
    """Why a task takes its lane; the words for people are the screens'."""

    INSTANT = "instant"
    NO_MESSAGE = "no_message"
    SLOW_STEP = "slow_step"
    UNSAFE_STEP = "unsafe_step"
    KEPT_VALUES = "kept_values"
    OVERLAP = "overlap"
    LIMIT = "limit"
    HOLD = "hold"
    UNDO = "undo"

    @property
    def sentence(self) -> str:
        """For commands and the API."""
        return _SENTENCES[self]


_SENTENCES = {
    LaneReason.INSTANT: "every step is instant and may safely be done again",
    LaneReason.NO_MESSAGE: "no MQTT message starts it",
    LaneReason.SLOW_STEP: "a step takes longer than an instant",
    LaneReason.UNSAFE_STEP: "a step must never be done twice, so its intent has a commit of its own",
    LaneReason.KEPT_VALUES: "a step uses kept values",
    LaneReason.OVERLAP: "its overlap rule looks at other runs first",
    LaneReason.LIMIT: "its limit counts its runs first",
    LaneReason.HOLD: "a trigger of it looks on before it fires",
    LaneReason.UNDO: "it is undone where a step fails",
}


@dataclass(frozen=True, slots=True)
class LaneChoice:
    """The lane of a task's MQTT-triggered runs. ``step`` names the step that decided, if one did."""

    lane: LaneName
    reason: LaneReason
    step: str = ""


def lane_of(definition: TaskDefinition) -> LaneChoice:
    """The reflex lane where every step is instant and may be done again after a crash, else the worker lane.

    A definition never changes, so this is decided when a version is saved, and says the same for ever.
    """
    if not any(trigger.kind == "mqtt" for trigger in definition.triggers):
        return LaneChoice(LaneName.WORKER, LaneReason.NO_MESSAGE)
    for spec in (*definition.actions, *definition.on_failure):
        for reason in _objections(spec):
            return LaneChoice(LaneName.WORKER, reason, spec.id)
    for reason in _task_objections(definition):
        return LaneChoice(LaneName.WORKER, reason)
    return LaneChoice(LaneName.REFLEX, LaneReason.INSTANT)


def _objections(spec: StepSpec) -> Iterator[LaneReason]:
    kind = registry()[spec.type]
    if not kind.instant:
        yield LaneReason.SLOW_STEP
    effect = EffectClass(spec.effect) if spec.effect else kind.effect(spec.params)
    if effect is EffectClass.UNSAFE:
        yield LaneReason.UNSAFE_STEP
    if spec.cache_keys:
        yield LaneReason.KEPT_VALUES


def _task_objections(definition: TaskDefinition) -> Iterator[LaneReason]:
    if definition.overlap is not None:
        yield LaneReason.OVERLAP
    if definition.limit is not None:
        yield LaneReason.LIMIT
    if any(trigger.waits for trigger in definition.triggers):
        yield LaneReason.HOLD
    if definition.undo_on_failure:
        yield LaneReason.UNDO
