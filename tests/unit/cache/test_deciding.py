"""Who wins when both wrote, as data and clocks have it."""

from datetime import UTC, datetime, timedelta

import pytest

from appliance.cache.domain import Choice, Policy, Rule, Write, decide, rule_of
from appliance.cache.stamps import tick
from appliance.lib.jsontypes import JsonValue

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def write(value: JsonValue, origin: str, seconds: float = 0, *, deleted: bool = False) -> Write:
    at = NOON + timedelta(seconds=seconds)
    return Write("k", value, deleted, tick(at, origin), at, "user:t")


def choice(
    policy: Policy, mine: Write, theirs: Write, *, skew: float = 0, base: Write | None = None
) -> Choice:
    rule = Rule("", policy)
    return decide(rule, base, mine, theirs, skew=timedelta(seconds=skew), now=NOON).choice


def test_the_policies() -> None:
    mine, theirs = write(1, "near", 1), write(2, "far", 2)
    assert choice(Policy.LOCAL, mine, theirs) is Choice.MINE
    assert choice(Policy.REMOTE, mine, theirs) is Choice.THEIRS
    assert choice(Policy.NEWEST, mine, theirs) is Choice.THEIRS
    assert choice(Policy.NEWEST, write(1, "near", 3), theirs) is Choice.MINE
    assert choice(Policy.ASK, mine, theirs) is Choice.ASK
    assert choice(Policy.MERGE, write({"a": 1}, "near"), write({"b": 2}, "far")) is Choice.MERGED


@pytest.mark.parametrize("skew", [61, -61, 3600, -(10**9)])
def test_clocks_that_are_apart_decide_nothing(skew: float) -> None:
    assert choice(Policy.NEWEST, write(1, "near"), write(2, "far", 5), skew=skew) is Choice.ASK


def test_a_small_difference_of_the_clocks_is_borne() -> None:
    assert choice(Policy.NEWEST, write(1, "near"), write(2, "far", 5), skew=59) is Choice.THEIRS


def test_a_write_from_the_future_does_not_win_by_it() -> None:
    """Its clock was wrong when it was written, and may have been set right since."""
    assert choice(Policy.NEWEST, write(1, "near"), write(2, "far", 3600)) is Choice.ASK


def test_what_cannot_be_merged_is_asked() -> None:
    assert choice(Policy.MERGE, write(1, "near"), write("x", "far")) is Choice.ASK
    assert choice(Policy.MERGE, write({"a": 1}, "near"), write(None, "far", deleted=True)) is Choice.ASK


def test_the_longest_prefix_rules() -> None:
    rules = [Rule("line1/", Policy.ASK), Rule("", Policy.NEWEST), Rule("line1/count/", Policy.MERGE)]
    found = [rule_of(key, rules) for key in ("x", "line1/a", "line1/count/b")]
    assert [rule.policy for rule in found if rule] == [Policy.NEWEST, Policy.ASK, Policy.MERGE]
    assert rule_of("other", rules[:1]) is None
