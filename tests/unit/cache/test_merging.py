"""Merging keeps what each side changed, and says so where it cannot."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.cache.merging import Unmergeable, merge, same

leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=3)
)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=4),
    max_leaves=12,
).filter(lambda value: "inf" not in str(value))


@given(values, values, values, st.lists(st.sampled_from([".", "a", "b", "a.b"]), max_size=2))
def test_it_gives_the_same_from_both_sides_or_says_why_not(
    base: Any, mine: Any, theirs: Any, counters: list[str]
) -> None:
    def outcome(one: Any, other: Any) -> Any:
        try:
            return merge(base, one, other, counters)
        except Unmergeable:
            return Unmergeable

    here, there = outcome(mine, theirs), outcome(theirs, mine)
    if here is Unmergeable or there is Unmergeable:
        assert here is there
    elif not _has_float(here):
        assert same(here, there)


def _has_float(value: Any) -> bool:
    """Sums of floats differ in their last bit by the order of the addends."""
    return "." in str(value) or "e" in str(value)


@given(values, values)
def test_a_side_that_changed_nothing_gives_way(base: Any, theirs: Any) -> None:
    assert same(merge(base, base, theirs), theirs)
    assert same(merge(base, theirs, base), theirs)


def test_different_fields_are_kept_at_every_depth() -> None:
    base: Any = {"limits": {"low": 1, "high": 9}, "old": True, "name": "a"}
    mine: Any = {"limits": {"low": 2, "high": 9}, "name": "a", "new": []}
    theirs: Any = {"limits": {"low": 1, "high": 8}, "old": True, "name": "b"}
    assert merge(base, mine, theirs) == {"limits": {"low": 2, "high": 8}, "name": "b", "new": []}


def test_declared_counters_add_and_others_do_not() -> None:
    sides: list[Any] = [{"n": {"made": 10}}, {"n": {"made": 12}}, {"n": {"made": 9}}]
    base, mine, theirs = sides
    assert merge(base, mine, theirs, ["n.made"]) == {"n": {"made": 11}}
    with pytest.raises(Unmergeable, match=r"n\.made: both sides changed it"):
        merge(base, mine, theirs)
    assert merge(5, 7, 6, ["."]) == 8


@pytest.mark.parametrize(
    ("base", "mine", "theirs", "why"),
    [
        ({"a": 1}, {"a": "x"}, {"a": 2}, "a: both sides changed it"),
        ({"a": 1}, {}, {"a": 2}, "a: one side removed what the other changed"),
        ({"n": 1}, {"n": "two"}, {"n": 3}, "n: it is declared a counter, and not a number on both sides"),
        ({"n": 1}, {"n": True}, {"n": 3}, "n: it is declared a counter"),
        ({"n": 0}, {"n": 1.7e308}, {"n": 1.6e308}, "n: the sum is too large"),
        ({"n": 0}, {"n": 10**400}, {"n": 0.5}, "n: the sum is too large"),
        ([1], [1, 2], [1, 3], "the value: both sides changed it"),
        ({"a": 1}, [1], {"a": 2}, "the value: both sides changed it"),
    ],
)
def test_what_does_not_go_together_is_said(base: Any, mine: Any, theirs: Any, why: str) -> None:
    with pytest.raises(Unmergeable, match=why.replace(".", r"\.")):
        merge(base, mine, theirs, ["n"])


def test_one_and_true_and_a_float_are_three_values() -> None:
    assert not same(1, True)
    assert not same(1, 1.0)
    assert merge({"a": 1}, {"a": 1}, {"a": True}) == {"a": True}
