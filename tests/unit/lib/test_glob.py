"""Patterns match what people expect, in linear time, and cover only what they say."""

import fnmatch
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.lib.glob import Glob, covers, sample, tidy

patterns = st.text("ab*?", max_size=7)
texts = st.text("abc", max_size=8)


@given(patterns, texts)
def test_a_pattern_matches_as_a_shells_does(pattern: str, text: str) -> None:
    assert Glob(pattern).matches(text) == fnmatch.fnmatchcase(text, pattern)


@given(patterns, patterns, texts)
def test_what_is_covered_is_matched(wide: str, narrow: str, text: str) -> None:
    if covers(wide, narrow) and Glob(narrow).matches(text):
        assert Glob(wide).matches(text)


@given(patterns)
def test_every_pattern_covers_itself_and_what_it_is_made_of(pattern: str) -> None:
    assert covers(pattern, pattern)
    assert covers("*", pattern)
    assert Glob(tidy(pattern)).matches(sample(pattern) if pattern else "") or not pattern


@pytest.mark.parametrize(
    ("wide", "narrow", "is_covered"),
    [
        ("a*", "ab*", True),
        ("ab*", "a*", False),
        ("user:*", "user:ana", True),
        ("?", "*", False),
        ("*", "?", True),
        ("a?c", "abc", True),
        ("*b*", "abab*", True),
    ],
)
def test_covering(wide: str, narrow: str, is_covered: bool) -> None:
    assert covers(wide, narrow) is is_covered


def test_no_pattern_takes_long() -> None:
    began = time.process_time()
    assert not Glob("*a" * 200).matches("a" * 199 + "b" * 60_000)
    assert time.process_time() - began < 5, "exponential or quadratic matching would take minutes"
