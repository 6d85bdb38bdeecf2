"""Finding the rules that may match an action, without walking all of them.

Each rule stands under one of its conditions: the topic, or an exact text or the beginning of a text that an
action must have. What can be found by nothing stands apart and is walked. Places are given in order, so that the
first rule of the file is still the first that decides.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from appliance.safety.commands.domain import SCRIPTED, CommandClass
from appliance.safety.policy.facts import Facts, Static
from appliance.safety.policy.model import Rule
from appliance.safety.policy.vocabulary import Answer

Places = list[int]
Values = Callable[[Static, Facts], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Key:
    """What a rule is found by: the texts of one dimension, whole or their beginnings."""

    dimension: str
    exact: frozenset[str] = frozenset()
    beginnings: frozenset[str] = frozenset()

    @property
    def worth(self) -> int:
        """How few actions it is likely to find; whole texts tell more than beginnings, kinds tell little."""
        if self.dimension == "topic":
            return 1000
        if self.dimension == "kind":
            return 1
        shortest = min((len(one) for one in self.beginnings), default=900)
        return min(shortest, 900)


def static_keys(rule: Rule) -> Iterable[Key]:
    """Those that the task alone has."""
    yield from _text_key("task", rule.task)
    yield from _text_key("principal", rule.principal)
    kinds = rule.kinds
    if kinds is None:
        kinds = ("mqtt",) if rule.topic else tuple(sorted(SCRIPTED)) if rule.command else None
    yield from _text_key("kind", kinds)


def dynamic_keys(rule: Rule) -> Iterable[Key]:
    """Those that the action itself has."""
    if rule.topic:
        yield Key("topic", frozenset(rule.topic))
    yield from _text_key("device", rule.device)
    for path, patterns in (rule.arguments or {}).items():
        yield from _text_key(f"arguments.{path}", patterns)
    if rule.command and not _takes_any_program(rule):
        yield from _text_key("program", rule.command.program)


def _takes_any_program(rule: Rule) -> bool:
    """A rule that asks or denies matches what is not understood, whatever programs are seen in it."""
    classes = rule.command.class_ if rule.command else None
    return rule.decide is not Answer.ALLOW and (classes is None or CommandClass.UNKNOWN in classes)


def _text_key(dimension: str, patterns: Sequence[str] | None) -> Iterable[Key]:
    """A key where each pattern says at least how the text begins."""
    if not patterns:
        return
    exact, beginnings = set(), set()
    for pattern in patterns:
        cut = min((pattern.find(sign) for sign in "*?" if sign in pattern), default=-1)
        if cut == 0:
            return
        if cut < 0:
            exact.add(pattern)
        else:
            beginnings.add(pattern[:cut])
    yield Key(dimension, frozenset(exact), frozenset(beginnings))


def _values(dimension: str) -> Values:
    match dimension:
        case "kind":
            return lambda static, facts: (static.kind,)
        case "task":
            return lambda static, facts: (static.task,)
        case "principal":
            return lambda static, facts: (static.principal,)
        case "device":
            return lambda static, facts: (facts.device,) if facts.device is not None else ()
        case "program":
            return lambda static, facts: facts.command[1] if facts.command else ()
    names = tuple(dimension.removeprefix("arguments.").split("."))
    return lambda static, facts: facts.texts(names)


@dataclass(slots=True)
class _Texts:
    """The rules that are found by one dimension."""

    values: Values
    exact: dict[str, Places] = field(default_factory=dict)
    beginnings: dict[int, dict[str, Places]] = field(default_factory=dict)

    def add(self, key: Key, place: int) -> None:
        for text in key.exact:
            self.exact.setdefault(text, []).append(place)
        for text in key.beginnings:
            self.beginnings.setdefault(len(text), {}).setdefault(text, []).append(place)


class _Topics:
    """Topic filters as a tree of levels: a look-up costs the depth of the topic."""

    __slots__ = ("below", "here", "rest")

    def __init__(self) -> None:
        self.below: dict[str, _Topics] = {}
        self.here: Places = []
        self.rest: Places = []

    def add(self, filter_: str, place: int) -> None:
        node = self
        *above, last = filter_.split("/")
        for level in above:
            node = node.below.setdefault(level, _Topics())
        if last == "#":
            node.rest.append(place)
        else:
            node.below.setdefault(last, _Topics()).here.append(place)

    def find(self, topic: str) -> list[Places]:
        found: list[Places] = []
        nodes = [self]
        wild = not topic.startswith("$")
        for level in topic.split("/"):
            following: list[_Topics] = []
            for node in nodes:
                if wild and node.rest:
                    found.append(node.rest)
                below = node.below
                if below:
                    if level in below and level != "+":
                        following.append(below[level])
                    if wild and "+" in below:
                        following.append(below["+"])
            nodes, wild = following, True
            if not nodes:
                return found
        for node in nodes:  # `a/#` also matches `a`
            found += [places for places in (node.here, node.rest) if places]
        return found


class RuleIndex:
    """The places of rules, by what finds them."""

    def __init__(self, keys: Iterable[Iterable[Key]]) -> None:
        self.rest: Places = []
        """Those that must be walked, in order."""
        self._texts: dict[str, _Texts] = {}
        self._topics: _Topics | None = None
        for place, mine in enumerate(keys):
            best = max(mine, key=lambda key: key.worth, default=None)
            if best is None:
                self.rest.append(place)
            elif best.dimension == "topic":
                self._topics = self._topics or _Topics()
                for filter_ in best.exact:
                    self._topics.add(filter_, place)
            else:
                table = self._texts.setdefault(best.dimension, _Texts(_values(best.dimension)))
                table.add(best, place)

    def found(self, static: Static, facts: Facts) -> list[Places]:
        """Ordered lists of places of rules that may match."""
        found: list[Places] = []
        if self._topics is not None and facts.topic is not None:
            found = self._topics.find(facts.topic)
        for table in self._texts.values():
            for text in table.values(static, facts):
                places = table.exact.get(text)
                if places:
                    found.append(places)
                for length, beginnings in table.beginnings.items():
                    places = beginnings.get(text[:length])
                    if places:
                        found.append(places)
        return found
