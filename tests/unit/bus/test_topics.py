"""Topics, filters and patterns against a naive reading of MQTT 3.1.1, section 4.7."""

import time
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.bus.errors import TopicRefused
from appliance.bus.topics import (
    TopicTable,
    check_filter,
    check_topic,
    common_cover,
    covers,
    matches,
    minimal_cover,
    overlaps,
    parse_pattern,
)

LEVELS = st.sampled_from(["a", "b", "", "$x"])
TOPICS = st.lists(LEVELS, min_size=1, max_size=4).map("/".join).filter(bool)
FILTERS = (
    st.tuples(
        st.lists(st.sampled_from(["a", "b", "", "+", "$x"]), min_size=0, max_size=4),
        st.sampled_from([[], ["#"]]),
    )
    .map(lambda parts: "/".join([*parts[0], *parts[1]]))
    .filter(bool)
)


def naive(filter_: str, topic: str) -> bool:
    if topic[0] == "$" and filter_[0] in "+#":
        return False

    def match(f: list[str], t: list[str]) -> bool:
        if not f:
            return not t
        if f[0] == "#":
            return True
        return bool(t) and f[0] in ("+", t[0]) and match(f[1:], t[1:])

    return match(filter_.split("/"), topic.split("/"))


@given(FILTERS, TOPICS)
def test_matching_follows_the_standard(filter_: str, topic: str) -> None:
    assert matches(filter_, topic) == naive(filter_, topic)


@given(FILTERS, FILTERS, TOPICS)
def test_cover_and_overlap_agree_with_matching(one: str, other: str, topic: str) -> None:
    both = naive(one, topic) and naive(other, topic)
    assert not both or overlaps(one, other)
    if covers(one, other) and naive(other, topic):
        assert naive(one, topic)
    wide = common_cover(one, other)
    if wide is not None and (naive(one, topic) or naive(other, topic)):
        assert naive(wide, topic)


@given(FILTERS, FILTERS)
def test_filters_said_to_overlap_share_a_topic(one: str, other: str) -> None:
    assert overlaps(one, other) == overlaps(other, one)
    if overlaps(one, other):
        shared = [
            "/".join(
                a if a not in "+#" or a == "" else b if b not in "+#" or b == "" else "z" for a, b in pairs
            )
            for pairs in _aligned(one.split("/"), other.split("/"))
        ]
        # "/#" and "+" share only the topic without a character, which does not exist: no harm in saying so.
        assert "" in shared or any(naive(one, topic) and naive(other, topic) for topic in shared)


def _aligned(f: list[str], g: list[str]) -> list[list[tuple[str, str]]]:
    """Both filters laid level against level, ``#`` as none, one or more levels."""
    options = []
    for length in range(1, max(len(f), len(g)) + 2):
        a, b = _stretched(f, length), _stretched(g, length)
        if a and b:
            options.append(list(zip(a, b, strict=True)))
    return options


def _stretched(levels: list[str], length: int) -> list[str] | None:
    if levels[-1] == "#" and length >= len(levels) - 1:
        return levels[:-1] + ["+"] * (length - len(levels) + 1)
    return levels if len(levels) == length else None


@given(st.sets(FILTERS, max_size=12), st.integers(min_value=1, max_value=12), st.lists(TOPICS, max_size=8))
@settings(max_examples=300)
def test_the_cover_is_disjoint_and_misses_nothing(filters: set[str], limit: int, topics: list[str]) -> None:
    cover = minimal_cover(filters, limit)
    for one, other in combinations(cover, 2):
        assert not overlaps(one, other), (one, other)
    for topic in topics:
        hits = sum(naive(f, topic) for f in cover)
        assert hits <= 1
        if any(naive(f, topic) for f in filters):
            assert hits == 1
    roots = {f.split("/")[0] for f in filters if f.startswith("$")}
    assert len(cover) <= limit + len(roots)


@given(st.sets(FILTERS, max_size=6))
def test_filters_that_do_not_overlap_are_not_widened(filters: set[str]) -> None:
    if not any(overlaps(a, b) for a, b in combinations(filters, 2)):
        assert len(minimal_cover(filters, 30)) == len(filters)


def test_overlapping_filters_without_a_cover_among_them_are_widened() -> None:
    assert minimal_cover({"plant/+/temp", "plant/line1/+"}) == {"plant/+/+"}
    assert minimal_cover({"a/b", "a/+"}) == {"a/+"}
    assert minimal_cover({"a", "a/#"}) == {"a/#"}
    assert minimal_cover({"+/x", "$SYS/x"}) == {"+/x", "$SYS/x"}


def test_ten_thousand_triggers_need_few_subscriptions_and_little_time() -> None:
    filters = {f"plant/line{n % 50}/pump/p{n}/temp" for n in range(10_000)} | {
        f"plant/line{n}/+/p{n}/#" for n in range(300)
    }
    began = time.process_time()
    cover = minimal_cover(filters, 30)
    assert time.process_time() - began < 5
    assert len(cover) <= 30
    assert all(any(covers(c, f) for c in cover) for f in filters)


@given(st.lists(st.tuples(FILTERS, st.integers(0, 3)), max_size=12), st.lists(TOPICS, min_size=1, max_size=4))
def test_the_table_finds_what_a_naive_search_finds(entries: list[tuple[str, int]], topics: list[str]) -> None:
    table: TopicTable[int] = TopicTable()
    for filter_, value in entries:
        table.add(filter_, value)
    assert len(table) == len(set(entries))
    for topic in topics:
        expected = sorted(value for filter_, value in set(entries) if naive(filter_, topic))
        assert sorted(value for value, _ in table.match(topic)) == expected
    for filter_, value in set(entries):
        assert table.remove(filter_, value)
        assert not table.remove(filter_, value)
    assert len(table) == 0
    assert table._root.is_empty()
    assert not any(table.match(topic) for topic in topics)


def test_a_look_up_does_not_get_slower_with_the_number_of_patterns() -> None:
    def visited(patterns: int) -> int:
        table: TopicTable[int] = TopicTable()
        for n in range(patterns):
            table.add(f"plant/line{n}/pump/{{pump}}/temp", n)
        began = time.perf_counter_ns()
        for n in range(300):
            assert table.match(f"plant/line{n % patterns}/pump/p{n}/temp")
        return time.perf_counter_ns() - began

    small, large = min(visited(10) for _ in range(3)), min(visited(5000) for _ in range(3))
    assert large < small * 10


def test_a_pattern_gives_its_levels_back_by_name() -> None:
    pattern = parse_pattern("plant/{line}/+/{pump}/temp")
    assert pattern.filter == "plant/+/+/+/temp"
    assert pattern.names == ("line", "pump")
    table: TopicTable[str] = TopicTable()
    table.add(pattern, "named")
    table.add("plant/+/pump/+/#", "plain")
    assert dict(table.match("plant/l1/pump/p7/temp")) == {"named": ("l1", "p7"), "plain": ("l1", "p7")}


@pytest.mark.parametrize(
    "text", ["a/{x}/b/{x}", "a/pre{x}", "a/{}", "a/{x y}", "a/{1}", "a/{x", "a/#/{x}", "", "a b/{x}"]
)
def test_bad_patterns_are_refused(text: str) -> None:
    with pytest.raises(TopicRefused):
        parse_pattern(text)


@pytest.mark.parametrize("text", ["a+/b", "a/b#", "a/#/b", "#/a", "++", "$share/g/a", "a/ b", "x" * 1025])
def test_bad_filters_are_refused(text: str) -> None:
    with pytest.raises(TopicRefused):
        check_filter(text)


@pytest.mark.parametrize(
    "text", ["", "a b", "a\tb", "a\rb", "a\x00", "a\x7f", "a\x85", "a\ud800", "a\uffff", "a/+", "#", "/" * 64]
)
def test_topics_that_a_broker_would_choke_on_are_refused(text: str) -> None:
    with pytest.raises(TopicRefused):
        check_topic(text)


@pytest.mark.parametrize("text", ["/", "a//b", "/a", "a/", "a.b", "a*b", ">", "工厂/温度", "$aws/things"])
def test_unusual_topics_that_brokers_carry_are_accepted(text: str) -> None:
    assert check_topic(text) == text


def test_the_readings_of_a_topic_say_where_it_is_wrong() -> None:
    with pytest.raises(TopicRefused, match=r"position 6.*no spaces"):
        check_topic("plant line")
