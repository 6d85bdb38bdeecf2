"""Deciding: the rules of each layer from the top, the strictest of the layers' answers.

What needs no look at the action is decided once (``Policy.narrow``) and kept; what is left is found by exact
topic, device or argument where a rule names one, so that a thousand rules are not walked for each effect.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from appliance.safety.policy.conditions import (
    Condition,
    Test,
    dynamic_conditions,
    static_conditions,
)
from appliance.safety.policy.facts import Facts, Static, texts_at
from appliance.safety.policy.glob import Glob
from appliance.safety.policy.model import PolicyFile, Rule
from appliance.safety.policy.verdict import ASKED, DEFAULT, PolicyVerdict, strictest
from appliance.safety.policy.vocabulary import Answer, Layer

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


class LayerPolicy:
    """One layer's file, compiled; ``version`` 0 is what a box has before anybody writes one."""

    def __init__(self, file: PolicyFile, version: int) -> None:
        self.file = file
        self.layer = file.layer
        self.version = version
        self.rules = tuple(CompiledRule.of(rule, file.layer, version) for rule in file.rules)
        self._by_kind: dict[str, list[int]] = {}
        self._any_kind: list[int] = []
        for place, rule in enumerate(file.rules):
            if rule.kinds and all(Glob(kind).literal for kind in rule.kinds):
                for kind in set(rule.kinds):
                    self._by_kind.setdefault(kind, []).append(place)
            else:
                self._any_kind.append(place)

    def default(self, origin: str) -> PolicyVerdict:
        answer = self.file.default.answer(origin)
        approvers = ASKED if answer is Answer.ASK else None
        return PolicyVerdict(answer, DEFAULT, self.layer, self.version, approvers=approvers)

    def narrow(self, static: Static) -> "NarrowedLayer":
        """What is left of the layer for this task: the rules whose static conditions hold."""
        left: list[CompiledRule] = []
        for place in sorted([*self._by_kind.get(static.kind, ()), *self._any_kind]):
            rule = self.rules[place]
            if all(one.test(static) for one in rule.static):
                if not rule.tests:
                    return NarrowedLayer(left, rule.verdict)
                left.append(rule)
        return NarrowedLayer(left, self.default(static.origin))

    def plain(self, static: Static, facts: Facts) -> PolicyVerdict:
        """The same answer, by walking every rule: what ``narrow`` is measured against."""
        for rule in self.rules:
            if all(one.test(static) for one in rule.static) and all(test(facts) for test in rule.tests):
                return rule.verdict
        return self.default(static.origin)


Values = Callable[[Facts], Sequence[str]]


class NarrowedLayer:
    """The rules of a layer that may still match, and the answer where none does."""

    __slots__ = ("_found_by", "_rest", "_rules", "otherwise")

    def __init__(self, rules: Sequence[CompiledRule], otherwise: PolicyVerdict) -> None:
        self.otherwise = otherwise
        self._rules = rules
        self._rest: list[tuple[int, CompiledRule]] = []
        self._found_by: list[tuple[Values, dict[str, list[int]]]] = []
        tables: dict[str, dict[str, list[int]]] = {}
        for place, rule in enumerate(rules):
            key = _key(rule.rule)
            if key is None:
                self._rest.append((place, rule))
                continue
            for text in set(key[1]):
                tables.setdefault(key[0], {}).setdefault(text, []).append(place)
        self._found_by = [(_values(name), table) for name, table in tables.items()]

    @property
    def constant(self) -> bool:
        """Whether no action of this task can change the answer."""
        return not self._rules

    def decide(self, facts: Facts) -> PolicyVerdict:
        best = len(self._rules)
        for values, table in self._found_by:
            for text in values(facts):
                for place in table.get(text, ()):
                    if place >= best:
                        break
                    if all(test(facts) for test in self._rules[place].tests):
                        best = place
                        break
        for place, rule in self._rest:
            if place > best:
                break
            for test in rule.tests:
                if not test(facts):
                    break
            else:
                return rule.verdict
        return self._rules[best].verdict if best < len(self._rules) else self.otherwise


def _key(rule: Rule) -> tuple[str, Sequence[str]] | None:
    """A condition by whose exact texts the rule can be found, with those texts."""
    if rule.topic:
        if all("+" not in one and "#" not in one for one in rule.topic):
            return "topic", rule.topic
        first = [one.partition("/")[0] for one in rule.topic]
        if not any(one in ("+", "#") for one in first):
            return "topic/", first
    if rule.device and all(Glob(one).literal for one in rule.device):
        return "device", rule.device
    for path, patterns in (rule.arguments or {}).items():
        if all(Glob(one).literal for one in patterns):
            return f"arguments.{path}", patterns
    return None


def _values(name: str) -> Values:
    match name:
        case "topic":
            return lambda facts: (facts.topic,) if facts.topic is not None else ()
        case "topic/":
            return lambda facts: (facts.topic.partition("/")[0],) if facts.topic is not None else ()
        case "device":
            return lambda facts: (facts.device,) if facts.device is not None else ()
    names = tuple(name.removeprefix("arguments.").split("."))
    return lambda facts: texts_at(facts.arguments, names)


class Narrowed:
    """A policy for one kind of step of one task: ``decide`` looks at what the action itself brings."""

    __slots__ = ("_constant", "_layers")

    def __init__(self, layers: Sequence[NarrowedLayer]) -> None:
        self._layers = tuple(layers)
        fixed = all(layer.constant for layer in layers)
        self._constant = strictest(layer.otherwise for layer in layers) if fixed else None

    def decide(self, facts: Facts) -> PolicyVerdict:
        if self._constant is not None:
            return self._constant
        if len(self._layers) == 1:
            return self._layers[0].decide(facts)
        return strictest(layer.decide(facts) for layer in self._layers)


class Policy:
    """The layers that are in force together. Immutable but for what it remembers of narrowing."""

    def __init__(self, layers: Sequence[LayerPolicy]) -> None:
        self.layers = tuple(sorted(layers, key=lambda one: list(Layer).index(one.layer)))
        self._narrowed: dict[Static, Narrowed] = {}

    def narrow(self, static: Static) -> Narrowed:
        """Decided once for each kind, task, origin and principal."""
        found = self._narrowed.get(static)
        if found is None:
            if len(self._narrowed) >= _KEPT:
                self._narrowed.clear()
            found = self._narrowed[static] = Narrowed([layer.narrow(static) for layer in self.layers])
        return found

    def decide(self, static: Static, facts: Facts) -> PolicyVerdict:
        return self.narrow(static).decide(facts)

    def plain(self, static: Static, facts: Facts) -> PolicyVerdict:
        return strictest(layer.plain(static, facts) for layer in self.layers)


BUILT_IN = LayerPolicy(
    PolicyFile(policy=1, name="built in", layer=Layer.BOX),
    0,
)
"""What answers on a box without a policy of its own: what an agent proposes is asked for, the rest allowed."""
