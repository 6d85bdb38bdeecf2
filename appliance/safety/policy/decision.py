"""Deciding: the rules of each layer from the top, the strictest of the layers' answers.

What needs no look at the action is decided once (``Policy.narrow``) and kept; what is left is found by an index,
so that a thousand rules are not walked for each effect.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.safety.budgets.domain import AGENT_REPEATS, Purse
from appliance.safety.budgets.model import BudgetRule
from appliance.safety.plant_state.model import PlantRule
from appliance.safety.policy.conditions import (
    Condition,
    Test,
    dynamic_conditions,
    static_conditions,
)
from appliance.safety.policy.facts import Facts, Static
from appliance.safety.policy.index import RuleIndex, dynamic_keys, static_keys
from appliance.safety.policy.model import PolicyFile, Rule
from appliance.safety.policy.selecting import Selected
from appliance.safety.policy.verdict import ASKED, DEFAULT, PolicyVerdict, strictest
from appliance.safety.policy.vocabulary import Answer, Layer, OwnAgent

_KEPT = 4096


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule with its conditions ready to test."""

    rule: Rule
    verdict: PolicyVerdict
    static: tuple[Condition[Static], ...]
    dynamic: tuple[Condition[Facts], ...]
    tests: tuple[Test[Facts], ...]

    @classmethod
    def of(cls, rule: Rule, layer: Layer, version: int) -> "CompiledRule":
        asks = rule.decide is Answer.ASK
        verdict = PolicyVerdict(
            rule.decide,
            rule.id,
            layer,
            version,
            rule.reason,
            (rule.approvers or ASKED) if asks else None,
            rule.expires,
        )
        dynamic = dynamic_conditions(rule)
        return cls(rule, verdict, static_conditions(rule), dynamic, tuple(one.test for one in dynamic))


@dataclass(frozen=True, slots=True)
class Budgeted:
    """A budget of a layer, and the effects that it is about."""

    selected: Selected
    purse: Purse


@dataclass(frozen=True, slots=True)
class Conditioned:
    """What a layer asks of the plant, and for which effects. ``name`` is ``layer/rule``."""

    selected: Selected
    rule: PlantRule
    name: str


class LayerPolicy:
    """One layer's file, compiled; ``version`` 0 is what a box has before anybody writes one.

    It looks at one origin of an action at a time (``Static.each``).
    """

    def __init__(self, file: PolicyFile, version: int) -> None:
        self.file = file
        self.layer = file.layer
        self.version = version
        self.rules = tuple(CompiledRule.of(rule, file.layer, version) for rule in file.rules)
        self._index = RuleIndex([*static_keys(rule), *dynamic_keys(rule)] for rule in file.rules)
        self.budgets = tuple(
            Budgeted(Selected.of(rule), Purse(f"{self.layer}/{rule.id}", rule, rule.each, rule.reason))
            for rule in _budgets(file)
        )
        self.plant = tuple(
            Conditioned(Selected.of(rule), rule, f"{self.layer}/{rule.id}") for rule in file.plant
        )

    def default(self, origin: str) -> PolicyVerdict:
        answer = self.file.default.answer(origin)
        approvers = ASKED if answer is Answer.ASK else None
        return PolicyVerdict(answer, DEFAULT, self.layer, self.version, approvers=approvers)

    def decide(self, static: Static, facts: Facts) -> PolicyVerdict:
        """For an action that is decided on once; ``narrow`` pays where a task acts again."""
        best = _first(self.rules, self._index, static, facts, whole=True)
        return self.rules[best].verdict if best < len(self.rules) else self.default(static.origin)

    def narrow(self, static: Static) -> "NarrowedLayer":
        """What is left of the layer for this task: the rules whose static conditions hold."""
        left: list[CompiledRule] = []
        for rule in self.rules:
            if not _holds(rule.static, static):
                continue
            if not rule.tests:
                return NarrowedLayer(left, rule.verdict)
            left.append(rule)
        return NarrowedLayer(left, self.default(static.origin))

    def plain(self, static: Static, facts: Facts) -> PolicyVerdict:
        """The same answer, by walking every rule: what the others are measured against."""
        for rule in self.rules:
            if all(one.test(static) for one in rule.static) and all(test(facts) for test in rule.tests):
                return rule.verdict
        return self.default(static.origin)


def _budgets(file: PolicyFile) -> tuple[BudgetRule, ...]:
    own = any(rule.id == AGENT_REPEATS.id for rule in file.budgets)
    return file.budgets if own or file.layer is not Layer.BOX else (*file.budgets, AGENT_REPEATS)


def _holds(conditions: Sequence[Condition[Static]], static: Static) -> bool:
    for one in conditions:  # noqa: SIM110 - a generator costs more than the test
        if not one.test(static):
            return False
    return True


def _fits(rule: CompiledRule, static: Static, facts: Facts, whole: bool) -> bool:
    for test in rule.tests:
        if not test(facts):
            return False
    return not whole or _holds(rule.static, static)


def _first(
    rules: Sequence[CompiledRule], index: RuleIndex, static: Static, facts: Facts, *, whole: bool
) -> int:
    """The place of the first rule that matches, the number of rules where none does.

    ``whole``: whether static conditions are still to be looked at.
    """
    best = len(rules)
    for places in index.found(static, facts):
        for place in places:
            if place >= best:
                break
            if _fits(rules[place], static, facts, whole):
                best = place
                break
    for place in index.rest:
        if place >= best:
            break
        if _fits(rules[place], static, facts, whole):
            return place
    return best


class NarrowedLayer:
    """The rules of a layer that may still match, and the answer where none does."""

    __slots__ = ("_index", "_rules", "otherwise")

    def __init__(self, rules: Sequence[CompiledRule], otherwise: PolicyVerdict) -> None:
        self.otherwise = otherwise
        self._rules = rules
        self._index = RuleIndex(dynamic_keys(rule.rule) for rule in rules)

    @property
    def constant(self) -> bool:
        """Whether no action of this task can change the answer."""
        return not self._rules

    def decide(self, static: Static, facts: Facts) -> PolicyVerdict:
        best = _first(self._rules, self._index, static, facts, whole=False)
        return self._rules[best].verdict if best < len(self._rules) else self.otherwise


class Narrowed:
    """A policy for one kind of step of one task: ``decide`` looks at what the action itself brings.

    ``layers`` has each layer once for each origin that the action is judged by.
    """

    __slots__ = ("_constant", "_layers", "_static", "budgets", "plant")

    def __init__(
        self,
        static: Static,
        layers: Sequence[NarrowedLayer],
        budgets: Sequence[Budgeted] = (),
        plant: Sequence[Conditioned] = (),
    ) -> None:
        self.budgets = tuple(one for one in budgets if one.selected.may_take(static))
        self.plant = tuple(one for one in plant if one.selected.may_take(static))
        self._static = static
        self._layers = tuple(layers)
        fixed = all(layer.constant for layer in layers)
        self._constant = strictest(layer.otherwise for layer in layers) if fixed else None

    @property
    def is_constant(self) -> bool:
        """Whether the answer is the same whatever the action brings."""
        return self._constant is not None

    def decide(self, facts: Facts) -> PolicyVerdict:
        if self._constant is not None:
            return self._constant
        if len(self._layers) == 1:
            return self._layers[0].decide(self._static, facts)
        return strictest(layer.decide(self._static, facts) for layer in self._layers)


class Policy:
    """The layers that are in force together. Immutable but for what it remembers of narrowing."""

    def __init__(self, layers: Sequence[LayerPolicy]) -> None:
        self.layers = tuple(sorted(layers, key=lambda one: list(Layer).index(one.layer)))
        self.in_force = " ".join(f"{one.layer}@{one.version}" for one in self.layers)
        """The version of each layer, in one text: ``box@3 site@1``."""
        self.own_agent = min((one.file.own_agent for one in self.layers), key=list(OwnAgent).index)
        """The strictest of the layers' answers."""
        self._narrowed: dict[Static, Narrowed] = {}

    def narrow(self, static: Static) -> Narrowed:
        """Decided once for each kind, task, origins and principal."""
        found = self._narrowed.get(static)
        if found is None:
            if len(self._narrowed) >= _KEPT:
                self._narrowed.clear()
            found = self._narrowed[static] = Narrowed(
                static,
                [layer.narrow(one) for layer in self.layers for one in static.each],
                [one for layer in self.layers for one in layer.budgets],
                [one for layer in self.layers for one in layer.plant],
            )
        return found

    def decide(self, static: Static, facts: Facts) -> PolicyVerdict:
        """Without narrowing first: for an action that comes once."""
        return strictest(layer.decide(one, facts) for layer in self.layers for one in static.each)

    def plain(self, static: Static, facts: Facts) -> PolicyVerdict:
        return strictest(layer.plain(one, facts) for layer in self.layers for one in static.each)


BUILT_IN = LayerPolicy(
    PolicyFile(policy=1, name="built in", layer=Layer.BOX),
    0,
)
"""What answers on a box without a policy of its own: what an agent proposes is asked for, the rest allowed."""
