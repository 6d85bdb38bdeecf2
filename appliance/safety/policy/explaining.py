"""Why the policy answers as it does: the deciding rule of each layer, and the rules that nearly matched."""

from dataclasses import dataclass

from appliance.safety.policy.decision import CompiledRule, LayerPolicy, Policy
from appliance.safety.policy.facts import Facts, Static
from appliance.safety.policy.verdict import PolicyVerdict, strictest

MOST_NEAR = 5


@dataclass(frozen=True, slots=True)
class Near:
    """A rule that matches but for one condition."""

    rule: str
    decide: str
    condition: str
    wanted: str
    seen: str

    def __str__(self) -> str:
        return f"{self.rule} ({self.decide}): {self.condition} is {self.seen}, the rule wants {self.wanted}"


@dataclass(frozen=True, slots=True)
class LayerExplanation:
    """What one layer answers for one origin; ``near`` are rules above the deciding one that all but matched."""

    verdict: PolicyVerdict
    policy: str
    near: tuple[Near, ...]
    origin: str


@dataclass(frozen=True, slots=True)
class Explanation:
    verdict: PolicyVerdict
    layers: tuple[LayerExplanation, ...]
    """Each layer, once for each origin that the action is judged by."""


def explain(policy: Policy, static: Static, facts: Facts) -> Explanation:
    """Walks every rule above the deciding one of each layer."""
    layers = tuple(_explain(layer, one, facts) for layer in policy.layers for one in static.each)
    return Explanation(strictest(layer.verdict for layer in layers), layers)


def _explain(layer: LayerPolicy, static: Static, facts: Facts) -> LayerExplanation:
    near: list[Near] = []
    verdict = layer.default(static.origin)
    for rule in layer.rules:
        failed = _failed(rule, static, facts)
        if not failed:
            verdict = rule.verdict
            break
        if len(failed) == 1 and len(near) < MOST_NEAR:
            near += failed
    return LayerExplanation(verdict, layer.file.name, tuple(near), static.origin)


def _failed(rule: CompiledRule, static: Static, facts: Facts) -> list[Near]:
    """The conditions that do not hold; two are as good as all of them."""
    failed: list[Near] = []
    for one in rule.static:
        if not one.test(static):
            failed.append(_near(rule, one.key, one.wanted, one.seen(static)))
    for other in rule.dynamic:
        if len(failed) > 1:
            break
        if not other.test(facts):
            failed.append(_near(rule, other.key, other.wanted, other.seen(facts)))
    return failed


def _near(rule: CompiledRule, key: str, wanted: str, seen: str) -> Near:
    return Near(rule.rule.id, rule.rule.decide.value, key, wanted, seen)
