"""Circles of calls are found, whoever begins them."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.tasks.calls import circles


def test_a_task_that_calls_itself_is_a_circle() -> None:
    assert dict(circles({"a": ["a"]})) == {"a": ["a", "a"]}


def test_every_member_of_a_circle_is_named_with_its_way_round() -> None:
    found = dict(circles({"a": ["b"], "b": ["c", "x"], "c": ["a"], "d": ["a"], "x": []}))
    assert found == {"a": ["a", "b", "c", "a"], "b": ["b", "c", "a", "b"], "c": ["c", "a", "b", "c"]}


def test_calling_the_same_task_twice_or_an_unknown_one_is_no_circle() -> None:
    assert not dict(circles({"a": ["b", "b", "nobody"], "b": ["c"], "c": [], "d": ["b", "c"]}))


def test_a_long_chain_is_judged_quickly() -> None:
    calls = {str(n): [str(n + 1), str(n + 2)] for n in range(20_000)}
    assert not dict(circles(calls))


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.integers(0, 7), st.sets(st.integers(0, 7), max_size=4), max_size=8))
def test_a_way_round_exists_exactly_where_one_is_reported(graph: dict[int, set[int]]) -> None:
    calls = {str(a): [str(b) for b in sorted(bs)] for a, bs in graph.items()}
    found = dict(circles(calls))
    for name, way in found.items():
        assert way[0] == way[-1] == name
        assert all(b in calls[a] for a, b in pairwise(way))
    reach = {name: set(called) for name, called in calls.items()}
    for middle in calls:
        for name in calls:
            if middle in reach[name]:
                reach[name] |= reach[middle]
    assert set(found) == {name for name in calls if name in reach[name]}
