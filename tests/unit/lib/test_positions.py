"""A column points at the very character, through YAML's quoting and folding."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.lib.located.positions import locate
from appliance.lib.located.yaml_reader import read_yaml


def place_of_x(text: str) -> tuple[str, tuple[int, int]]:
    """The value under ``a`` and where its X is, found through the value."""
    document = read_yaml(text)
    assert isinstance(document.value, dict)
    value = document.value["a"]
    assert isinstance(value, str)
    return value, locate(text, document, ("a",), at_key=False, offset=value.index("X"))


@pytest.mark.parametrize(
    "text",
    [
        "a: one X two",
        "a: one\n  two\n  X three",
        "a: 'it''s X'",
        "a: 'one\n\n  two X'",
        'a: "one X"',
        'a: "one\\n \\"two\\" X"',
        'a: "one\\n\n   X"',
        "a: |\n  one\n  two X\n",
        "a: |-\n    one\n      deep X\n",
        "a: >\n  one\n  two\n\n  three X\n",
        "b: 1\na:   X",
        'a: "温度 {{ X }}"',
        "a: |2\n    indented X\n",
    ],
)
def test_every_style_of_scalar_is_read_back_to_its_place(text: str) -> None:
    _, (line, column) = place_of_x(text)
    assert text.split("\n")[line - 1][column - 1] == "X"


@pytest.mark.parametrize("text", ['b: 1\na: "\\x41 X"', 'b: 1\na: "one \\\n  X"'])
def test_where_escapes_hide_the_place_the_start_of_the_text_is_given(text: str) -> None:
    assert place_of_x(text)[1] == (2, 4)


def test_a_missing_part_is_shown_at_what_would_hold_it() -> None:
    text = "- a: 1\n- b:\n    c: 2\n"
    document = read_yaml(text)
    assert locate(text, document, (1, "b", "d"), at_key=False, offset=None) == (3, 5)
    assert locate(text, document, (1, "b"), at_key=True, offset=None) == (2, 3)
    assert locate(text, document, (7,), at_key=False, offset=3) == (1, 1)


@settings(max_examples=200, deadline=None)
@given(
    st.text(alphabet="ab '\"\n\\:#é", max_size=30),
    st.text(alphabet="cd '\"\n", max_size=10),
    st.sampled_from([None, "'", '"', "|", ">"]),
    st.sampled_from([20, 1000]),
)
def test_the_place_is_the_character_or_honestly_the_start(
    before: str, after: str, style: str | None, width: int
) -> None:
    text = yaml.safe_dump({"a": f"{before}X{after}"}, default_style=style, allow_unicode=True, width=width)
    document = read_yaml(text)
    assert isinstance(document.value, dict)
    value = document.value["a"]
    assert isinstance(value, str)
    offset = value.index("X")
    line, column = locate(text, document, ("a",), at_key=False, offset=offset)
    start = document.values[("a",)]
    assert text.split("\n")[line - 1][column - 1] == "X" or (line, column) == (
        start.line + 1,
        start.column + 1,
    )
