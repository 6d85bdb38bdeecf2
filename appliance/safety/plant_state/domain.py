"""Lock-outs, maintenance windows and conditions on last values, as the gate holds and asks them: pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import lru_cache

from appliance.lib.jsontypes import JsonValue
from appliance.lib.topic_filters import covers as topic_covers
from appliance.safety.budgets.model import Then
from appliance.safety.plant_state.model import PlantRule
from appliance.safety.policy.conditions import time_of
from appliance.safety.policy.facts import Facts
from appliance.safety.policy.glob import Glob
from appliance.safety.policy.model import TimeIs

_glob = lru_cache(2000)(Glob)
_hours = lru_cache(2000)(time_of)
"""Compiled once: these are asked about at every effect."""


class Scope(StrEnum):
    """What is taken out of use."""

    BOX = "box"
    """Everything that this box does."""
    DEVICE = "device"
    """One device, by its name: actions that name it, and messages to topics with a level of that name."""
    TOPIC = "topic"
    """Messages to the topics of a filter."""
    TASK = "task"
    """Tasks, by name; * and ? are allowed."""


@dataclass(frozen=True, slots=True)
class Closed:
    """Why the plant lets an effect not happen now: which rule, in which words, and what becomes of the step."""

    rule: str
    reason: str
    then: Then = Then.HOLD
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """What a lock-out or a window is about."""

    scope: Scope
    pattern: str = ""

    def takes(self, facts: Facts, task: str) -> bool:
        match self.scope:
            case Scope.BOX:
                return True
            case Scope.TASK:
                return _glob(self.pattern).matches(task)
            case Scope.TOPIC:
                return facts.topic is not None and topic_covers(self.pattern, facts.topic)
            case Scope.DEVICE:
                wanted = _glob(self.pattern)
                levels = facts.topic.split("/") if facts.topic is not None else []
                return any(
                    wanted.matches(one) for one in (*levels, *([facts.device] if facts.device else []))
                )

    def __str__(self) -> str:
        return "the whole box" if self.scope is Scope.BOX else f"{self.scope} {self.pattern}"


@dataclass(frozen=True, slots=True)
class LockOut:
    """Somebody works at it: nothing of it moves until they say so."""

    id: int
    target: Target
    by: str
    reason: str
    since: datetime
    then: Then = Then.DENY

    def closed(self, facts: Facts, task: str) -> Closed | None:
        if not self.target.takes(facts, task):
            return None
        said = (
            f"{self.target} is locked out by {self.by} since {self.since:%Y-%m-%d %H:%M} UTC: {self.reason}"
        )
        return Closed(f"lockout.{self.id}", said, self.then)


@dataclass(frozen=True, slots=True)
class Window:
    """A time in which something is out of use: ``weekly``, or once from ``begins`` to ``ends``."""

    id: int
    name: str
    target: Target
    reason: str = ""
    then: Then = Then.HOLD
    weekly: TimeIs | None = None
    begins: datetime | None = None
    ends: datetime | None = None

    def is_on(self, at: datetime) -> bool:
        if self.weekly is not None:
            return _hours(self.weekly)(at)
        return self.begins is not None and self.ends is not None and self.begins <= at < self.ends

    def closed(self, facts: Facts, task: str) -> Closed | None:
        if not (self.target.takes(facts, task) and self.is_on(facts.at)):
            return None
        said = f": {self.reason}" if self.reason else ""
        until = self.ends if self.weekly is None else None
        return Closed(
            f"window.{self.name}", f"{self.target} is in maintenance ({self.name}){said}", self.then, until
        )


@dataclass(frozen=True, slots=True)
class Restraints:
    """All that people have put on this box now."""

    lockouts: Sequence[LockOut] = ()
    windows: Sequence[Window] = field(default=())

    @property
    def any(self) -> bool:
        return bool(self.lockouts or self.windows)

    def closed(self, facts: Facts, task: str) -> Closed | None:
        """Lock-outs first, since a person stands there; a denial before a hold."""
        found = [
            *(one.closed(facts, task) for one in self.lockouts),
            *(one.closed(facts, task) for one in self.windows),
        ]
        return stricter(one for one in found if one is not None)


def stricter(found: Iterable[Closed]) -> Closed | None:
    """The first that denies, else the first."""
    closed = list(found)
    return next((one for one in closed if one.then is Then.DENY), closed[0] if closed else None)


def unfulfilled(rule: PlantRule, name: str, value: JsonValue) -> Closed | None:
    """Whether a rule of the policy closes the gate; ``value`` is None where there is none that is recent enough.

    What is not known closes it, and so does what is no number.
    """
    wrong = "it has no value that is recent enough" if value is None else _wrong(rule, value)
    if not wrong:
        return None
    said = f"{rule.reason}: " if rule.reason else ""
    return Closed(f"plant_state.{name}", f"{said}{rule.state}: {wrong}", rule.then)


def _wrong(rule: PlantRule, value: JsonValue) -> str:
    shown = str(value)[:80]
    if rule.is_ is not None and not any(_same(value, one) for one in rule.is_):
        return f"it is {shown}, and must be {' or '.join(map(str, rule.is_))}"
    if rule.is_not is not None and any(_same(value, one) for one in rule.is_not):
        return f"it is {shown}"
    if rule.least is None and rule.most is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"it is {shown}, which is no number"
    if rule.least is not None and value < rule.least:
        return f"it is {shown}, less than {rule.least:g}"
    return f"it is {shown}, more than {rule.most:g}" if rule.most is not None and value > rule.most else ""


def _same(value: JsonValue, wanted: object) -> bool:
    """True is not 1: what a device says and what a person writes are compared as they stand."""
    return isinstance(value, bool) == isinstance(wanted, bool) and value == wanted
