"""``{% if %}`` and ``{% for %}``: in message texts, over lists."""

from typing import Any

import pytest

from appliance.expressions import ExpressionError, compile_template

SCOPE: dict[str, Any] = {
    "items": [1, 2, 3],
    "m": {"a": 1, "b": 2},
    "ok": False,
    "item": "outer",
    "nobody": [],
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{% for item in items %}{{ item }};{% endfor %}{{ item }}", "1;2;3;outer"),
        ("{% for item in items -%}\n  {{ item }}\n{%- endfor %}", "123"),
        ("{% for k, v in m|items %}{{ k }}={{ v }}{{ '' if loop.last else ', ' }}{% endfor %}", "a=1, b=2"),
        ("{% if ok %}A{% elif items %}B{% else %}C{% endif %}", "B"),
        ("{% if ok %}A{% elif ok %}B{% else %}C{% endif %}", "C"),
        ("{% if ok %}A{% endif %}!", "!"),
        (
            "{% for a in items %}{% for b in items %}{% if a < b %}{{ a }}{{ b }} {% endif %}{% endfor %}{% endfor %}",
            "12 13 23 ",
        ),
        (
            "{% for a in items %}{% for b in [a] %}{{ loop.index }}{% endfor %}{{ loop.index }}{% endfor %}",
            "111213",
        ),
        ("{% for x in nobody %}never{% endfor %}", ""),
        ("{% for x in items|sort(true) %}{{ x }}{% endfor %}", "321"),
        ("{{ items }}", "[1,2,3]"),
    ],
)
def test_a_message_is_text(text: str, expected: str) -> None:
    assert compile_template(text, blocks=True, as_text=True).render(SCOPE) == expected


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("a {% if ok %}b", 2),
        ("a {% for x in items %}b", 2),
        ("{% endif %}", 0),
        ("{% else %}", 0),
        ("{% if ok %}{% endfor %}", 11),
        ("{% for x in items %}{% endif %}", 20),
        ("{% for x in items %}{% else %}{% endfor %}", 20),
        ("{% if ok %}{% else %}{% else %}{% endif %}", 21),
        ("{% if %}{% endif %}", 6),
        ("{% if a b %}{% endif %}", 8),
        ("{% for x %}{% endfor %}", 7),
        ("{% for x in items if x %}{% endfor %}", 18),
        ("{% for x.y in items %}{% endfor %}", 7),
        ("{% for a, b, c in items %}{% endfor %}", 7),
        ("{% for loop in items %}{% endfor %}", 7),
        ("{% set a = 1 %}", 0),
        ("{% raw %}{{ a }}{% endraw %}", 0),
        ("{% include 'x' %}", 0),
        ("{% %}", 0),
        ("{% endif x %}", 9),
    ],
)
def test_a_tag_that_does_not_fit_is_refused_at_its_place(text: str, at: int) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_template(text, blocks=True)
    assert caught.value.offset == at


def test_tags_stand_in_messages_only() -> None:
    with pytest.raises(ExpressionError, match="message texts only") as caught:
        compile_template("a {% if ok %}b{% endif %}")
    assert caught.value.offset == 2


@pytest.mark.parametrize(
    "text",
    [
        "{% for x in m %}{% endfor %}",
        "{% for x in 'abc' %}{% endfor %}",
        "{% for a, b in items %}{% endfor %}",
        "{% for a in items %}{{ a.missing }}{% endfor %}",
        "{{ loop.index }}",
    ],
)
def test_a_loop_goes_over_lists_only(text: str) -> None:
    template = compile_template(text, blocks=True)
    with pytest.raises(ExpressionError):
        template.render(SCOPE)


def test_a_loop_that_fails_leaves_no_name_behind() -> None:
    template = compile_template("{% for x in items %}{{ 1 / (x - 2) }}{% endfor %}", blocks=True)
    with pytest.raises(ExpressionError, match="division by zero"):
        template.render(SCOPE)
    assert compile_template("{{ x is defined }}").render(SCOPE) is False
