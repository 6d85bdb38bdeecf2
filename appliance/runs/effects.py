"""What a step may do to the world, from its definition alone; for one with steps inside, what those may do."""

from appliance.actions.contract import EffectClass, SplitKind
from appliance.actions.registry import registry
from appliance.tasks.definition import StepSpec
from appliance.tasks.definition.bodies import bodies_of, each_step


def effect_of(spec: StepSpec) -> EffectClass:
    return EffectClass(spec.effect) if spec.effect else registry()[spec.type].effect(spec.params)


def acts(spec: StepSpec) -> bool:
    """Whether the step reaches anything outside of its run: its kind's own judgement.

    ``effect:`` is the author's word for how it may be repeated. It can make a step act, and never keep it from it.
    """
    own = registry()[spec.type].effect(spec.params)
    return own is not EffectClass.PURE or effect_of(spec) is not EffectClass.PURE


def _inside(spec: StepSpec) -> list[StepSpec]:
    return [one for steps in bodies_of(spec).values() for one in each_step(steps)]


def _grows_to_act(spec: StepSpec) -> bool:
    """Whether it may come to steps that act and that stand in no definition: an agent's calls."""
    kind = registry()[spec.type]
    return isinstance(kind, SplitKind) and kind.may_act(spec.params)


def effects_inside(spec: StepSpec) -> frozenset[EffectClass]:
    """Those of the steps inside; empty for a step without any. What they did is on their shards' rows."""
    found = {effect_of(one) for one in _inside(spec)}
    unknown = {EffectClass.UNSAFE for one in (spec, *_inside(spec)) if _grows_to_act(one)}
    return frozenset(found | unknown)


def acts_inside(spec: StepSpec) -> bool:
    """Whether a shard of this step can have changed anything."""
    return any(map(acts, _inside(spec))) or any(map(_grows_to_act, (spec, *_inside(spec))))
