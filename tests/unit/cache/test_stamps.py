"""Hybrid logical time: a write over a value is later than it, whatever the wall clocks say."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.cache.stamps import Stamp, StampInvalid, milliseconds, tick

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
stamps = st.builds(
    Stamp,
    st.integers(0, 2**44),
    st.integers(0, 2**30 - 1),
    st.text(st.characters(categories=["L", "N"]), max_size=12),
)


@given(stamps, st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1)))
def test_a_write_is_later_than_what_it_was_made_over(before: Stamp, now: datetime) -> None:
    after = tick(now.replace(tzinfo=UTC), "box", before)
    assert after > before
    assert after.wall >= milliseconds(now.replace(tzinfo=UTC))


@given(stamps, stamps)
def test_the_text_keeps_the_order_and_the_stamp(one: Stamp, other: Stamp) -> None:
    assert Stamp.parse(str(one)) == one
    assert (str(one) < str(other)) == (one < other)


def test_a_clock_that_is_set_back_still_counts_on() -> None:
    first = tick(NOON, "a")
    second = tick(NOON - timedelta(days=400), "a", first)
    assert (second.wall, second.counter) == (first.wall, 1)
    assert tick(NOON + timedelta(seconds=1), "b", second).counter == 0


def test_of_many_the_latest_counts() -> None:
    early, late = Stamp(1, 0, "a"), Stamp(milliseconds(NOON) + 5, 3, "b")
    assert tick(NOON, "c", early, None, late) == Stamp(late.wall, 4, "c")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1-2-a",
        "zzzzzzzzzzzz-00000000-a",
        "ffffffffffff-00000000-a",
        "00000000000a-ffffffff-a",
        "00000000000a-7fffffff-a",
        "00000000000a-00000000-a b",
        "00000000000a-00000000-a\x00",
        "0" * 500,
    ],
)
def test_what_is_no_stamp_is_refused(text: str) -> None:
    with pytest.raises(StampInvalid):
        Stamp.parse(text)
