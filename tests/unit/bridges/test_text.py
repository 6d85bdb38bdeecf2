"""Texts are cut in the platform's own unit, and nothing of them gets lost unseen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.bridges.capabilities import LengthUnit
from appliance.bridges.telegram.text import bold, escape
from appliance.bridges.text import measure, split
from tests.standins.telegram import parse_markdown_v2


@pytest.mark.parametrize(
    ("text", "unit", "length"),
    [
        ("a😀", LengthUnit.CHARACTERS, 2),
        ("a😀", LengthUnit.UTF16, 3),
        ("a😀", LengthUnit.BYTES, 5),
        ("发现", LengthUnit.UTF16, 2),
    ],
)
def test_each_unit_counts_its_own_way(text: str, unit: LengthUnit, length: int) -> None:
    assert measure(text, unit) == length


@given(st.text(max_size=300), st.integers(40, 80), st.sampled_from(LengthUnit))
def test_no_part_is_too_long_and_no_word_is_lost(text: str, limit: int, unit: LengthUnit) -> None:
    parts = split(text, limit, unit, most=100)
    assert all(measure(part, unit) <= limit for part in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())


def test_a_cut_falls_on_a_line_end_if_there_is_one() -> None:
    assert split("one two\nthree four", 12, LengthUnit.CHARACTERS) == ["one two", "three four"]


def test_what_is_left_out_is_said() -> None:
    parts = split("word " * 100, 60, LengthUnit.CHARACTERS, most=2)
    assert len(parts) == 2
    assert parts[-1].endswith("characters left out)")
    assert all(len(part) <= 60 for part in parts)


def test_white_space_alone_is_no_text() -> None:
    assert split(" \n\t ", 10, LengthUnit.CHARACTERS) == []


@given(
    st.text(st.characters(min_codepoint=33, max_codepoint=0x2FFFF, exclude_categories=["Cs"]), max_size=60)
)
def test_escaped_text_means_nothing_but_itself(text: str) -> None:
    assert parse_markdown_v2(escape(text)) == text
    assert parse_markdown_v2(bold(text)) == text
