"""Which records make an alert: pure. What is counted for rates can be kept as JSON and taken up again."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from appliance.alerts.model import AlertRule, AlertsFile, Outcome, Per, RateIs
from appliance.lib.glob import matcher
from appliance.lib.jsontypes import JsonMapping, JsonObject

MOST_KEYS = 500
"""Principals or subjects that one rate counts; beyond them the one that was seen longest ago is forgotten."""
MANY = "steps.intent"
ONE = "step.intent"

_ENDINGS = {
    **dict.fromkeys(
        ("refused", "denied", "void", "expired", "poisoned", "locked", "undeclared"), Outcome.REFUSED
    ),
    **dict.fromkeys(("failed", "broken"), Outcome.FAILED),
    "asked": Outcome.ASKED,
}
_CHOICES = {"deny": Outcome.REFUSED, "denied": Outcome.REFUSED}


@dataclass(frozen=True, slots=True)
class Entry:
    """A record as rules see it. ``seq`` is 0 for what could not be put on record."""

    seq: int
    at: datetime
    kind: str
    principal: str
    subject: str
    detail: JsonMapping


def entries_of(entry: Entry) -> Iterator[Entry]:
    """The record itself; of a group's intents each one, as if it had a record of its own."""
    if entry.kind != MANY:
        yield entry
        return
    steps = entry.detail.get("steps")
    for one in steps if isinstance(steps, list) else ():
        if isinstance(one, dict):
            who, what = str(one.get("principal", "")), str(one.get("step", ""))
            yield Entry(entry.seq, entry.at, ONE, who, what, one)


def outcome_of(entry: Entry) -> Outcome:
    choice = entry.detail.get("choice")
    if isinstance(choice, str) and choice in _CHOICES:
        return _CHOICES[choice]
    return _ENDINGS.get(entry.kind.rpartition(".")[2], Outcome.DONE)


def origins_of(entry: Entry) -> list[str]:
    """What it came from, and what else that counts as; one that fits is enough."""
    said, also = entry.detail.get("origin"), entry.detail.get("also")
    own = said if isinstance(said, str) and said else entry.principal.partition(":")[0]
    return [own, *(str(one) for one in (also if isinstance(also, list) else ()))]


Test = Callable[[Entry], bool]


class Evaluator:
    """The rules of a file, ready. ``counts`` is what ``state`` gave before."""

    def __init__(self, file: AlertsFile, counts: JsonMapping | None = None) -> None:
        self._tests = [(rule, _kinds(rule), _test(rule)) for rule in file.rules]
        self._rates = {rule.id: _Rate(rule.rate) for rule in file.rules if rule.rate is not None}
        self._known: dict[str, bool] = {}
        for name, kept in (counts or {}).items():
            if name in self._rates and isinstance(kept, dict):
                self._rates[name].load(kept)

    def wants(self, kind: str) -> bool:
        """Whether any rule looks at records of this kind; of others nothing but the kind needs to be read."""
        known = self._known.get(kind)
        if known is None:
            asked = ONE if kind == MANY else kind
            known = self._known[kind] = any(kinds(asked) for _, kinds, _ in self._tests)
        return known

    def take(self, entry: Entry) -> list[AlertRule]:
        """The rules that this record makes an alert of."""
        found = []
        for rule, kinds, test in self._tests:
            if kinds(entry.kind) and test(entry):
                rate = self._rates.get(rule.id)
                if rate is None or rate.reached(entry):
                    found.append(rule)
        return found

    def state(self) -> JsonObject:
        return {name: rate.kept() for name, rate in self._rates.items() if rate.hits}


class _Rate:
    """The times of the last hits of each key, no more of them than the rule needs."""

    def __init__(self, rate: RateIs) -> None:
        self._count, self._within, self._per = rate.count, rate.within.total_seconds(), rate.per
        self.hits: dict[str, list[float]] = {}

    def load(self, kept: Mapping[str, Any]) -> None:
        self.hits = {
            key: [float(at) for at in times][-self._count :]
            for key, times in kept.items()
            if isinstance(times, list)
        }

    def kept(self) -> JsonObject:
        return {key: [*times] for key, times in self.hits.items()}

    def reached(self, entry: Entry) -> bool:
        """Whether this one completes the number: then counting begins anew, so that a storm counts in such steps."""
        key, at = self._key(entry), entry.at.timestamp()
        times = [one for one in self.hits.pop(key, []) if at - self._within < one <= at]
        if len(times) + 1 >= self._count:
            return True
        self.hits[key] = [*times, at]
        if len(self.hits) > MOST_KEYS:
            self.hits.pop(next(iter(self.hits)))
        return False

    def _key(self, entry: Entry) -> str:
        match self._per:
            case Per.PRINCIPAL:
                return entry.principal
            case Per.SUBJECT:
                return entry.subject
            case Per.KIND:
                return entry.kind
            case None:
                return ""


def _kinds(rule: AlertRule) -> Callable[[str], bool]:
    return _any(rule.kinds) if rule.kinds else lambda kind: True


def _any(patterns: Sequence[str]) -> Callable[[str], bool]:
    tests = [matcher(one) for one in patterns]
    return lambda text: any(test(text) for test in tests)


def _test(rule: AlertRule) -> Test:
    """All conditions but the kind."""
    tests: list[Test] = []
    if rule.principal:
        principal = _any(rule.principal)
        tests.append(lambda entry: principal(entry.principal))
    if rule.subject:
        subject = _any(rule.subject)
        tests.append(lambda entry: subject(entry.subject))
    if rule.origin:
        origin = _any(rule.origin)
        tests.append(lambda entry: any(origin(one) for one in origins_of(entry)))
    if rule.outcome:
        outcomes = frozenset(rule.outcome)
        tests.append(lambda entry: outcome_of(entry) in outcomes)
    tests += [_field(path, patterns) for path, patterns in (rule.fields or {}).items()]
    return lambda entry: all(test(entry) for test in tests)


def _field(path: str, patterns: Sequence[str]) -> Test:
    """A value that is not there fits no pattern; of a list one must fit."""
    fits, names = _any(patterns), path.split(".")

    def test(entry: Entry) -> bool:
        value: Any = entry.detail
        for name in names:
            value = value.get(name) if isinstance(value, dict) else None
        values = value if isinstance(value, list) else [value]
        return any(fits(_said(one)) for one in values if one is not None)

    return test


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
