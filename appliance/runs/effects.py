"""What a step may do to the world, from its definition alone; for one with steps inside, what those may do."""

from appliance.actions.contract import EffectClass
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


def effects_inside(spec: StepSpec) -> frozenset[EffectClass]:
    """Those of the steps inside; empty for a step without any. What they did is on their shards' rows."""
    return frozenset(effect_of(one) for steps in bodies_of(spec).values() for one in each_step(steps))


def acts_inside(spec: StepSpec) -> bool:
    """Whether a shard of this step can have changed anything."""
    return any(acts(one) for steps in bodies_of(spec).values() for one in each_step(steps))
