"""What expressions compute, over plain JSON values."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.expressions import ExpressionError, StateNeeded, compile_condition, compile_template, truth

SCOPE: dict[str, Any] = {
    "payload": {
        "value": 81.5,
        "unit": "°C",
        "list": [3, 1, 2],
        "none": None,
        "ok": True,
        "a b": {"c": [10, 20]},
    },
    "vars": {"limit": 80, "name": "pump-1"},
    "output": "one\ntwo",
    "topic": "plant/3/temp",
    "n": -7,
    "empty": [],
    "outputs": {},
}


def value_of(expression: str, **more: Any) -> Any:
    return compile_template(f"{{{{ {expression} }}}}").render({**SCOPE, **more})


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("payload.value > vars.limit", True),
        ("payload.value", 81.5),
        ("payload['a b'].c[1]", 20),
        ("payload['a b']['c'][-1]", 20),
        ("payload.list[payload.list[1]]", 1),
        ("payload.list[1:]", [1, 2]),
        ("payload.list[::-1]", [2, 1, 3]),
        ("topic[:5] ~ '!'", "plant!"),
        ("output.length", 7),
        ("payload.list.length + payload.list|length", 6),
        ("vars.length", 2),
        ("1 < 2 <= 2 < 3", True),
        ("1 < 2 > 5", False),
        ("not payload.ok or none is none", True),
        ("'' or 'else'", "else"),
        ("payload.ok and vars.name", "pump-1"),
        ("7 // 2 + 7 % 2 * 10 - -1", 14),
        ("-7 // 2", -4),
        ("1 / 4", 0.25),
        ("n|abs + +1", 8),
        ("'a' ~ 1 ~ none ~ true ~ 1.5 ~ [1, 'é'] ~ {'k': none}", 'a1true1.5[1,"é"]{"k":null}'),
        ("'a' + 'b'", "ab"),
        ("[1] + [2]", [1, 2]),
        ("(1, 2)", [1, 2]),
        ("{'a': {'b': 1}}", {"a": {"b": 1}}),
        ("'yes' if payload.ok else 'no'", "yes"),
        ("'yes' if not payload.ok", None),
        ("'x' if false else 'y' if false else 'z'", "z"),
        ("'two' in output and 3 in payload.list and 'unit' in payload and 9 not in payload.list", True),
        ("1 == true or 0 == false or [1] == [true] or 1 in [true]", False),
        ("1 == 1.0 and [1, {'a': 2}] == [1.0, {'a': 2}]", True),
        ("'a' < 'b'", True),
        ("'}}' ~ \"{{ it's }}\"", "}}{{ it's }}"),
        (r"'a\n\t\\\'é\d'", "a\n\t\\'é\\d"),
        ("0x10 + 1_000", 1016),
        ("topic.length if topic is defined else 0", 12),
    ],
)
def test_an_expression_yields_the_value_itself(expression: str, expected: Any) -> None:
    found = value_of(expression)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no braces at all {", "no braces at all {"),
        ("{{ payload.value }} °C", "81.5 °C"),
        ("[{{ payload.none }}] {{ payload.ok }} {{ payload.list }}", "[] true [3,1,2]"),
        ("a  {{- ' b ' -}}  c", "a b c"),
        ("{# kept #} 100% {{ 1 }}", "{# kept #} 100% 1"),
        ("{{ '{{ topic }}' }}!", "{{ topic }}!"),
        ("{{ vars.braces }}!", "{{ topic }}!"),
        ("{{ {'a': {}}}}!", '{"a":{}}!'),
    ],
)
def test_a_longer_text_yields_text_that_is_never_rendered_twice(text: str, expected: str) -> None:
    scope = {**SCOPE, "vars": {"braces": "{{ topic }}"}}
    template = compile_template(text)
    assert template.render(scope) == expected
    assert not template.is_value


def test_blanks_around_a_single_expression_do_not_make_it_text() -> None:
    template = compile_template("  {{ payload.value }}\n")
    assert template.is_value
    assert template.render(SCOPE) == 81.5
    assert compile_template("{{ payload.value }}", as_text=True).render(SCOPE) == "81.5"


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("missing", "missing is not defined"),
        ("payload.valeu > 1", "payload.valeu is not defined"),
        ("payload.value.deep", "payload.value.deep is not defined: payload.value is a number"),
        ("payload.list[3]", "payload.list[3] is not defined: payload.list has 3 parts"),
        ("payload[vars.name]", "this.pump-1 is not defined"),
        ("[missing]", "missing is not defined"),
        ("empty|first", "the list is empty"),
        ("empty|max", "the list is empty"),
        ("payload.unit > 1", "> cannot compare text with a number"),
        ("none < 1", "< cannot compare none with a number"),
        ("true + 1", "+ cannot take true or false and a number"),
        ("topic * 3", "* cannot take text and a number"),
        ("payload.list * n", "* cannot take a list and a number"),
        ("1 // (n + 7)", "division by zero"),
        ("1 in 5", "'in' needs a text, a list or a mapping"),
        ("-topic", "a sign needs a number"),
        ("topic['a':]", "needs whole numbers"),
        ("topic[::0]", "a step that is not 0"),
        ("payload.list[true]", "needs text or a whole number"),
        ("topic|abs", "|abs: needs a number, not text"),
        ("payload.value|length", "|length: needs a text"),
        ("state('a')", "state() cannot be used here"),
    ],
)
def test_what_has_no_value_is_an_error_with_its_reason(expression: str, said: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        value_of(expression)
    assert said in caught.value.message
    assert caught.value.offset >= 3


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("previous", None),
        ("previous.a[0].b", None),
        ("cache.last", None),
        ("cache.last.x", None),
        ("cache", {}),
        ("previous|default('none yet')", "none yet"),
        ("missing.a.b|default(5)", 5),
        ("payload.none|default('n')", "n"),
        ("payload.value.deep|default('d')", "d"),
        ("empty|first|default('f')", "f"),
        ("''|default('x')", ""),
        ("''|default('x', true)", "x"),
        ("missing|default", ""),
        ("missing is defined", False),
        ("missing.a is not defined", True),
        ("missing.a is undefined and topic is not undefined", True),
        ("previous is defined", False),
        ("payload.none is defined", True),
    ],
)
def test_a_missing_name_is_an_answer_where_the_design_says_so(expression: str, expected: Any) -> None:
    assert value_of(expression) == expected


def test_the_last_value_and_the_cache_may_be_there_in_part() -> None:
    partly = {"previous": {"a": None}, "cache": {"seen": {"n": 1}, "text": "abc"}}
    for expression in (
        "previous.b",
        "previous.a.b",
        "cache.other.n",
        "cache.seen.m.x",
        "cache.text.x",
        "cache['o'][0]",
    ):
        assert value_of(expression, **partly) is None
    assert value_of("previous.x", previous=None) is None
    assert value_of("cache.seen.n + cache.text.length", **partly) == 4
    assert value_of("cache.seen is defined and previous.a is not defined", **partly) is True


@pytest.mark.parametrize(
    "expression",
    [
        "payload.__class__",
        "topic.upper()",
        "topic.__len__()",
        "range(3)",
        "payload.items()",
        "''.__class__.__mro__",
        "state.__globals__",
        "self",
        "[].append(1)",
        "payload['__class__']",
    ],
)
def test_no_python_attribute_and_no_call_is_ever_reached(expression: str) -> None:
    with pytest.raises(ExpressionError):
        value_of(expression)


@pytest.mark.parametrize(
    "expression",
    [
        "2 ** 3",
        "range(3)",
        "topic.format(1)",
        "topic|attr('x')",
        "topic|map('upper')",
        "topic is callable",
        "topic is divisibleby 3",
        "lambda: 1",
        "x = 1",
        "a, b",
        "*a",
        "'ab' * 9",
        "[0] * 9",
        "9 * (topic ~ 'a')",
        "topic|round(precision=1)",
        "{1: 2}",
        "a && b",
        "a || b",
        "!a",
        "a ? b : c",
        "",
        "1 +",
        "(1",
        "1)",
        "'open",
        "a b",
        "topic|replace('a')",
        "topic|upper(1)",
        "state()",
        "state('a', 'b', 'c')",
        "state('a', age='1s')",
        "state('a', max_age='soon')",
        "caller()",
        "_('x')",
        "99999999999999999999",
        "1e999",
        r"'\ud800'",
        r"'\x00'",
    ],
)
def test_what_is_not_in_the_language_is_refused_when_the_text_is_saved(expression: str) -> None:
    text = f"{{{{ {expression} }}}}"
    with pytest.raises(ExpressionError) as caught:
        compile_template(text)
    assert 0 <= caught.value.offset <= len(text)


def test_state_is_read_through_the_reader_with_its_age() -> None:
    asked: list[Any] = []

    def reader(topic: str, max_age: Any) -> str:
        asked.append((topic, max_age.total_seconds() if max_age else None))
        return "running"

    template = compile_template("{{ state('plant/' ~ vars.name ~ '/mode', max_age='10s') != 'maintenance' }}")
    assert template.render(SCOPE, state=reader) is True
    compile_template("{{ state(topic) }}").render(SCOPE, state=reader)
    compile_template("{{ state(topic, n|abs) }}").render(SCOPE, state=reader)
    assert asked == [("plant/pump-1/mode", 10.0), ("plant/3/temp", None), ("plant/3/temp", 7.0)]


def test_a_question_of_the_reader_passes_through_untouched() -> None:
    def reader(topic: str, max_age: Any) -> Any:
        raise StateNeeded(topic, max_age)

    with pytest.raises(StateNeeded) as caught:
        compile_template("mode: {{ state('a/b') }}").render({}, state=reader)
    assert caught.value.topic == "a/b"


def test_a_condition_is_one_expression() -> None:
    assert truth(compile_condition("{{ payload.list }}").render(SCOPE))
    assert not truth(compile_condition("{{ empty }}").render(SCOPE))
    for text in ("payload.value > 1", "{{ 1 }} and {{ 2 }}", "", "x {{ 1 }}"):
        with pytest.raises(ExpressionError, match="one expression"):
            compile_condition(text)


_NUMBERS = st.integers(-1000, 1000)
_ARITHMETIC = st.recursive(
    _NUMBERS.map(lambda n: f"({n})"),
    lambda inner: st.tuples(
        inner, st.sampled_from(["+", "-", "*", "//", "%", "<", "==", "and", "or"]), inner
    ).map(lambda parts: f"({parts[0]} {parts[1]} {parts[2]})"),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(_ARITHMETIC)
def test_arithmetic_and_logic_agree_with_python(expression: str) -> None:
    try:
        found = value_of(expression)
    except ExpressionError as error:
        if "cannot" in error.message or "numbers only" in error.message:
            return  # true and false are no numbers here
        with pytest.raises(ZeroDivisionError):
            eval(expression)
        return
    if "==" not in expression:  # 1 is not true here
        assert found == eval(expression)


_WORDS = r"""
{{ }} {% %} {{- -}} ( ) [ ] { } ' " \ | . , : ~ + - * / // % < > == != and or not in is if else for endfor endif
elif payload vars.limit 1 2.5 'a' state default length loop é _ # $
"""
_PIECES = st.sampled_from([*_WORDS.split(), "\n", "\r\n", "\x00"])


@settings(max_examples=300, deadline=None)
@given(st.lists(_PIECES, max_size=25).map(" ".join), st.booleans())
def test_any_text_compiles_or_is_refused_at_a_place_in_it(text: str, blocks: bool) -> None:
    refused = None
    try:
        compile_template(text, blocks=blocks).render(SCOPE)
    except ExpressionError as error:
        refused = error
    assert refused is None or 0 <= refused.offset <= len(text)
