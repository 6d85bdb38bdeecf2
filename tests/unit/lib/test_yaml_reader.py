"""YAML becomes plain values with places; hostile files are refused while they are read."""

import time

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.lib.jsontypes import JsonValue
from appliance.lib.located.yaml_reader import MAX_CHARACTERS, read_yaml


def test_scalars_mean_what_they_look_like() -> None:
    text = """
a: yes
b: on
c: 012
d: 12:30
e: 2026-01-01
f: 1e3
g: 0x10
h: ~
i: 'null'
j: true
k: -1_000
l: .5
m:
"""
    assert read_yaml(text).value == {
        "a": "yes",
        "b": "on",
        "c": 12,
        "d": "12:30",
        "e": "2026-01-01",
        "f": 1000.0,
        "g": 16,
        "h": None,
        "i": "null",
        "j": True,
        "k": "-1_000",
        "l": 0.5,
        "m": None,
    }


@pytest.mark.parametrize(
    ("text", "line", "column", "said"),
    [
        ("a: &x [1]\nb: *x", 1, 3, "aliases"),
        ("a: !!python/object:os.system x", 0, 3, "tag"),
        ("a: !foo 3", 0, 3, "tag"),
        ("a: 1\nb: 2\na: 3", 2, 0, "`a` is written twice"),
        ("{{ x }}: 1", 0, 0, "a key must be text"),
        ("a: {{ x }}", 0, 4, "a key must be text"),
        ("a: .inf", 0, 3, "not a number here"),
        ("a: 1e999", 0, 3, "too large"),
        ("a: 99999999999999999999", 0, 3, "too large"),
        ("a: 1\n---\nb: 2", 1, 0, "a second document"),
        ("a:\n\tb: c", 1, 0, "not YAML"),
        ("a: b: c", 0, 4, "not YAML"),
        ('x: 1\na: "b\n', 2, 0, "not YAML"),
        ("a: b\n\x07", 1, 0, "not allowed"),
        ("a: \ud800", 0, 3, "not allowed"),
        ("a: " + "x" * 70_000, 0, 3, "a text of 70000 characters"),
    ],
)
def test_what_is_not_accepted_is_a_fault_with_its_place(text: str, line: int, column: int, said: str) -> None:
    fault = read_yaml(text).faults[0]
    assert (fault.line, fault.column) == (line, column)
    assert said in fault.message


@pytest.mark.parametrize(
    "text",
    [
        "x" * 10_000_000,
        "[" * (MAX_CHARACTERS - 1),
        "{a: " * 250_000,
        "- " * 500_000,
        "? " * 500_000,
        "- a\n" * 250_000,
        "".join(f"k{i}: v\n" for i in range(80_000)),
        'a: "' + "\\n" * 500_000 + '"',
        "".join(" " * i + "a:\n" for i in range(1300)),
        "'" * 1_000_000,
        "a: |\n" + "  x\n" * 200_000,
        "a: &a [x,x]\nb: &b [*a,*a,*a]\nc: &c [*b,*b,*b]\n",
    ],
)
def test_a_bomb_is_refused_within_a_second(text: str) -> None:
    before = time.process_time()
    assert read_yaml(text).faults
    assert time.process_time() - before < 4


def test_nothing_is_an_empty_document() -> None:
    for text in ("", "# only a comment\n", "---\n"):
        assert read_yaml(text).value is None
        assert not read_yaml(text).faults


# YAML 1.1 took three more characters for line breaks, and libyaml folds them.
_CHARACTERS = st.characters(exclude_characters="\x85\u2028\u2029", exclude_categories=["Cs"])
_SCALARS = st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(_CHARACTERS, max_size=12)
_VALUES: st.SearchStrategy[JsonValue] = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(_CHARACTERS, max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(_VALUES)
def test_what_another_writer_wrote_is_read_as_the_same_value(value: JsonValue) -> None:
    text = yaml.safe_dump(value, allow_unicode=True)
    document = read_yaml(text)
    if not document.faults:
        assert document.value == value
        return
    # YAML cannot write every character unescaped; nothing else may be at fault.
    assert any("not allowed" in fault.message for fault in document.faults), document.faults


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab:-{}[]\"'|>#&*!%?@`, \n\t0.~", max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    document = read_yaml(text)
    assert document.faults or document.value is None or document.values
