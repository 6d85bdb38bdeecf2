"""The rules of syncing kept values: what a write is, and who wins when two boxes wrote. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from appliance.cache.merging import ABSENT, Absent, Unmergeable, merge, same
from appliance.cache.stamps import Stamp
from appliance.lib.jsontypes import JsonValue

LARGEST = 512 * 1024
"""Bytes of one value as canonical JSON that a box takes from another one."""

LONGEST_KEY = 200
CLOCKS_APART = timedelta(minutes=1)
"""Two clocks that differ by more do not decide which of two edits is the newer one."""


class Policy(StrEnum):
    """Who wins when both boxes changed a value since they last agreed."""

    LOCAL = "local"
    REMOTE = "remote"
    NEWEST = "newest"
    MERGE = "merge"
    ASK = "ask"


class Choice(StrEnum):
    """What was decided of a conflict."""

    MINE = "mine"
    THEIRS = "theirs"
    MERGED = "merged"
    ASK = "ask"
    """Nothing yet: a person decides."""
    SAME = "alike"
    """Both sides came to the same value by themselves."""


class Direction(StrEnum):
    OUT = "out"
    IN = "in"


@dataclass(frozen=True, slots=True)
class Write:
    """A value of a key as one box wrote it; ``at`` is that box's time, ``by`` names who wrote."""

    key: str
    value: JsonValue
    deleted: bool
    stamp: Stamp
    at: datetime
    by: str

    def says_the_same(self, other: "Write") -> bool:
        return self.deleted == other.deleted and (self.deleted or same(self.value, other.value))


@dataclass(frozen=True, slots=True)
class Rule:
    """The policy of every key that begins with ``prefix``; ``counters`` are paths of numbers that add."""

    prefix: str
    policy: Policy
    counters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """``value`` is what stands afterwards if ``choice`` is MERGED; ``why`` is a sentence for the person."""

    choice: Choice
    why: str
    value: JsonValue = None


def rule_of(key: str, rules: Iterable[Rule]) -> Rule | None:
    """The rule with the longest prefix of ``key``; None for a key that is not shared."""
    fitting = [rule for rule in rules if key.startswith(rule.prefix)]
    return max(fitting, key=lambda rule: len(rule.prefix), default=None)


def decide(
    rule: Rule, base: Write | None, mine: Write, theirs: Write, *, skew: timedelta, now: datetime
) -> Decision:
    """Who wins. ``skew`` is the peer's clock less this box's."""
    match rule.policy:
        case Policy.LOCAL:
            return Decision(Choice.MINE, "the policy prefers this box")
        case Policy.REMOTE:
            return Decision(Choice.THEIRS, "the policy prefers the other box")
        case Policy.NEWEST:
            return _newest(mine, theirs, skew, now)
        case Policy.MERGE:
            return _merged(rule, base, mine, theirs)
        case Policy.ASK:
            return Decision(Choice.ASK, "the policy asks a person")


def alike(rule: Rule | None, base: Write | None, mine: Write, theirs: Write) -> bool:
    """Whether the two writes leave nothing to decide.

    Equal values do not where both sides moved a counter by the same amount: the sum is another value.
    """
    if not mine.says_the_same(theirs):
        return False
    counted = rule is not None and rule.policy is Policy.MERGE and rule.counters
    if not counted or base is None or mine.deleted:
        return True
    assert rule is not None
    decision = _merged(rule, base, mine, theirs)
    return decision.choice is Choice.MERGED and same(decision.value, mine.value)


def _newest(mine: Write, theirs: Write, skew: timedelta, now: datetime) -> Decision:
    ahead = max(mine.stamp.at, theirs.stamp.at) - now
    if abs(skew) > CLOCKS_APART or ahead > CLOCKS_APART:
        apart = max(abs(skew), ahead).total_seconds()
        return Decision(Choice.ASK, f"which one is newer is not known: the clocks are {apart:.0f} s apart")
    if mine.stamp > theirs.stamp:
        return Decision(Choice.MINE, "this box wrote later")
    return Decision(Choice.THEIRS, "the other box wrote later")


def _merged(rule: Rule, base: Write | None, mine: Write, theirs: Write) -> Decision:
    start = ABSENT if base is None or base.deleted else base.value
    if mine.deleted or theirs.deleted:
        return Decision(Choice.ASK, "one side removed what the other changed")
    try:
        merged = merge(start, mine.value, theirs.value, rule.counters)
    except Unmergeable as error:
        return Decision(Choice.ASK, f"cannot be merged: {error}")
    assert not isinstance(merged, Absent)
    return Decision(Choice.MERGED, "each side's changes were kept", merged)
