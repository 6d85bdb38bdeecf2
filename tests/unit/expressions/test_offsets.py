"""An error points into the author's text: Jinja2's nodes have no column, so the place is made here."""

import pytest

from appliance.expressions import ExpressionError, compile_template, compile_tree


@pytest.mark.parametrize(
    ("text", "culprit"),
    [
        ("é {{ 1 }}\n{{ payload.value > > 3 }}", "> 3"),
        ("{{ 1 }} {{ a b }}", "b }}"),
        ("{{ a|lenght }}", "lenght"),
        ("{{ 1 + a|upper|nope|lower }}", "nope"),
        ("{{ a && b }}", "&& b"),
        ("{{ a ** 2 }}", "** 2"),
        ("{{ a is nope }}", "is nope"),
        ("x {{ (a + [1) }}", "[1"),
        ("x {{ a) }}", ") }}"),
        ("x {{ 'open }}", "'open"),
        ("x {{ 1 ", "{{ 1"),
        ("x {{-5 }}", "{{-5"),
        ("{{ a +\r\n  b.c() }}", "b.c"),
        ("{{ a + range(3) }}", "range"),
        (r"{{ a ~ 'b\ud800' }}", r"\ud800"),
        ("{{ a ~ ('x' * 3) }}", "'x'"),
        ("{{ state('a', max_age='soon') }}", "'soon'"),
    ],
)
def test_an_error_of_the_text_points_to_the_culprit(text: str, culprit: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_template(text)
    assert text[caught.value.offset :].startswith(culprit)


@pytest.mark.parametrize(
    ("text", "culprit"),
    [
        ("{{ 1 }} {{ 1 + missing.a }}", "missing.a"),
        ("{{ 1 }} {{ a.missing ~ 'x' }}", "a.missing"),
        ("{{ 1 }} {{ 2 + (a < 'x')|length }}", "a <"),
        ("{{ 1 }} {{ a.b|upper }}", "upper"),
        ("{{ 1 }} {{ 3 * (2 / zero) }}", "2 / zero"),
        ("{{ 1 }} {{ [][a.b] }}", "[][a.b]"),
    ],
)
def test_an_error_of_the_values_points_to_the_culprit(text: str, culprit: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_template(text).render({"a": {"b": 1}, "zero": 0})
    assert text[caught.value.offset :].startswith(culprit)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("{{ a && b }}", "`and`"),
        ("{{ a || b }}", "`or`"),
        ("{{ !a }}", "`not`"),
        ("{{ a ? b : c }}", "if test else"),
        ("{{ a = b }}", "=="),
        ("docker ps --format '{{.Names}}'", "'{{'"),
        ("{{ missing }}", "|default"),
    ],
)
def test_a_hint_helps_those_who_come_from_elsewhere(text: str, word: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_template(text).render({})
    assert word in (caught.value.hint or "")


def test_an_error_in_a_tree_has_the_path_of_its_text() -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_tree({"a": [1, {"b": "x {{ 1 + }}"}]})
    assert caught.value.path == ("a", 1, "b")
    with pytest.raises(ExpressionError) as caught:
        compile_tree({"a": ["{{ 1 }}", "{{ missing }}"]}).render({})
    assert (caught.value.path, caught.value.offset) == (("a", 1), 3)
