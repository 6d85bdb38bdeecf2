"""Each filter and test of the closed list."""

from typing import Any

import pytest

from appliance.expressions import ExpressionError, compile_template
from appliance.expressions.filters import FILTERS, TESTS

RESULTS: list[tuple[str, Any]] = [
    ("-3|abs", 3),
    ("'haystack'|contains('stack')", True),
    ("[1, 2]|contains(3)", False),
    ("'abc'|first ~ [1, 2]|last", "a2"),
    ("' 2.5 '|float", 2.5),
    ("'1e3'|float", 1000.0),
    ("'x'|float(0.5)", 0.5),
    ("'[1, {\"a\": null}]'|fromjson", [1, {"a": None}]),
    ("'12.9'|int + -12.9|int + ' 7 '|int", 7),
    ("'abc'|int(0)", 0),
    ("true|int", 1),
    ("{'a': 1, 'b': [2]}|items", [["a", 1], ["b", [2]]]),
    ("[1, 'b', none]|join(', ')", "1, b, "),
    ("{'a': 1, 'b': 2}|keys|join", "ab"),
    ("{'a': 1, 'b': 2}|values|sum", 3),
    ("'äö'|length + [1]|length + {'a': 1}|length", 4),
    ("'a\r\nb\n\nc\n'|lines", ["a", "b", "", "c"]),
    ("''|lines", []),
    ("'AbC'|lower ~ 'aé'|upper", "abcAÉ"),
    ("[3, 1.5, 2]|max + [3, 1, 2]|min", 4),
    ("['b', 'a']|max", "b"),
    ("'a.b.c'|replace('.', '--')", "a--b--c"),
    ("81.456|round(1)", 81.5),
    ("81.5|round", 82),
    ("[3, 1, 2]|sort", [1, 2, 3]),
    ("['b', 'a']|sort(true)", ["b", "a"]),
    ("'a,b,,c'|split(',')", ["a", "b", "", "c"]),
    ("' a  b '|split", ["a", "b"]),
    ("1.0|string ~ true|string ~ [1, 2]|string", "1.0true[1,2]"),
    ("[1, 2.5]|sum", 3.5),
    ("{'a': [1, 'é', none, true]}|tojson", '{"a":[1,"é",null,true]}'),
    ("' x\n'|trim", "x"),
    ("'abcdef'|truncate(4) ~ 'abc'|truncate(3)", "abc…abc"),
    ("[1, true, '1', 1, [1], [1]]|unique", [1, True, "1", [1]]),
    ("none|default(1)", 1),
    ("true is boolean and 1 is not boolean", True),
    ("4 is even and 3 is odd and 2.5 is not even and 'a' is not odd", True),
    ("2 is in [1, 2] and 'a' is in('abc')", True),
    ("{} is mapping and [] is not mapping", True),
    ("none is none and 0 is not none", True),
    ("1.5 is number and true is not number and '1' is not number", True),
    ("[] is sequence and 'a' is sequence and {} is not sequence", True),
    ("'a' is string and 1 is not string", True),
    ("missing is not defined", True),
]


@pytest.mark.parametrize(("expression", "expected"), RESULTS)
def test_a_filter_or_test_gives_its_value(expression: str, expected: Any) -> None:
    found = compile_template(f"{{{{ {expression} }}}}").render({})
    assert (found, type(found)) == (expected, type(expected))


def test_every_filter_and_test_is_shown_above() -> None:
    shown = " ".join(expression for expression, _ in RESULTS)
    assert [name for name in FILTERS if f"|{name}" not in shown] == []
    assert [name for name in TESTS if f"is {name}" not in shown and f"and {name}" not in shown] == []


@pytest.mark.parametrize(
    "expression",
    [
        "'x'|int",
        "none|int",
        "[]|int",
        "'١'|int",
        "'1_0'|int",
        "'nan'|float",
        "'inf'|float",
        "'1e999'|float",
        "'99999999999999999999'|int",
        "1e308|int",
        "'NaN'|fromjson",
        "'1e999'|fromjson",
        "'99999999999999999999'|fromjson",
        "'{'|fromjson",
        "1|fromjson",
        "[1, 'a']|sort",
        "[true]|sum",
        "['a']|sum",
        "[[1]]|max",
        "1|upper",
        "'a'|replace('', 'b')",
        "'a'|split('')",
        "'a'|join",
        "'a'|truncate(0)",
        "1.5|round(99)",
        "'a'|keys",
        "[]|items",
    ],
)
def test_a_filter_refuses_what_it_is_not_for(expression: str) -> None:
    with pytest.raises(ExpressionError, match=r"^\|\w+: "):
        compile_template(f"{{{{ {expression} }}}}").render({})


def test_an_unknown_filter_is_answered_with_the_nearest() -> None:
    for text, hint in (
        ("{{ 1|lenght }}", "length"),
        ("{{ 1|defualt(2) }}", "default"),
        ("{{ 1 is numbr }}", "number"),
    ):
        with pytest.raises(ExpressionError) as caught:
            compile_template(text)
        assert caught.value.hint == f"did you mean {hint}?"
