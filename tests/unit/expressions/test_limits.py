"""Bombs are refused, in text and in values, within a moment. The bound of one second is a generous one."""

import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from appliance.expressions import ExpressionError, compile_template, compile_tree
from appliance.expressions.limits import LONGEST_TEXT, MOST_ROUNDS
from appliance.expressions.shell import compile_shell

MOST_MEMORY = 64 * 1024 * 1024


@contextmanager
def within_a_second() -> Iterator[None]:
    started = time.process_time()
    yield
    assert time.process_time() - started < 4


BOMBS = {
    "huge": "x" * 10_000_000 + "{{ 1 }}",
    "huge expression": "{{ " + "a + " * 100_000 + "a }}",
    "long expression": "{{ " + "a+" * 900 + "a }}",
    "parentheses": "{{ " + "(" * 900 + "1" + ")" * 900 + " }}",
    "open parentheses": "{{ " + "(" * 1900,
    "lists": "{{ " + "[" * 900 + "]" * 900 + " }}",
    "mappings": "{{ " + "{'a':" * 300 + "1" + "}" * 300 + " }}",
    "not": "{{ " + "not " * 450 + "a }}",
    "signs": "{{ " + "-" * 1900 + "1 }}",
    "signs with blanks": "{{ " + "- " * 900 + "1 }}",
    "powers": "{{ " + "9**" * 500 + "9 }}",
    "conditions": "{{ " + "a if a else " * 150 + "a }}",
    "conditions without else": "{{ a " + "if a " * 380 + "}}",
    "keys": "{{ a" + ".b" * 900 + " }}",
    "items": "{{ a" + "[b" * 24 + "]" * 24 + "[c]" * 600 + " }}",
    "filters": "{{ a" + "|abs" * 450 + " }}",
    "tests": "{{ a" + " is none" * 220 + " }}",
    "calls": "{{ a" + "()" * 900 + " }}",
    "and": "{{ " + "a and " * 320 + "a }}",
    "many expressions": "{{ 1 }}" * 9000,
    "open blocks": "{{ " * 20_000,
    "open tags": "{% if a %}" * 6000,
    "nested ifs": "{% if a %}" * 60 + "{% endif %}" * 60,
    "nested fors": "{% for i in a %}" * 60 + "{% endfor %}" * 60,
    "quotes": "{{ " + "'" * 1999 + " }}",
    "open quotes": "{{ '" + "\\'" * 30_000,
    "backslashes": "{{ '" + "\\" * 1901 + "' }}",
    "number": "{{ " + "9" * 1900 + " }}",
    "hex": "{{ 0x" + "f" * 1900 + " }}",
    "exponent": "{{ 1e" + "9" * 1900 + " }}",
    "text repeated": "{{ 'a' * 1000000000 }}",
    "list repeated": "{{ [0] * 1000000000 }}",
    "slashes": "{{ " + "/" * 1900 + " }}",
    "braces": "{" * 60_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_in_the_text_is_refused_when_it_is_saved(name: str) -> None:
    for compile_it in (lambda text: compile_template(text, blocks=True), compile_shell, compile_tree):
        with within_a_second(), pytest.raises(ExpressionError):
            compile_it(BOMBS[name])


BIG = list(range(100_000))
DEEP: Any = []
for _ in range(900):
    DEEP = [DEEP]
VALUE_BOMBS: dict[str, tuple[str, dict[str, Any]]] = {
    "text doubled": ("{{ " + "~".join(["t"] * 300) + " }}", {"t": "x" * 100_000}),
    "texts added": ("{{ " + "+".join(["t"] * 70) + " }}", {"t": "x" * 100_000}),
    "lists added": ("{{ (" + "+".join(["t"] * 70) + ")|length }}", {"t": BIG}),
    "joined": ("{{ t|join(s) }}", {"t": BIG, "s": "x" * 100_000}),
    "replaced": ("{{ s|replace('x', s) }}", {"s": "x" * 10_000}),
    "shared": ("{{ [" + ",".join(["t"] * 200) + "]|tojson }}", {"t": BIG}),
    "shared text": ("{{ [" + ",".join(["s"] * 200) + "]|string }}", {"s": "x" * 1_000_000}),
    "sorted": ("{{ t|sort }}", {"t": BIG}),
    "loops": (
        "{% for a in t %}{% for b in t %}{% for c in t %}{{ a * b * c }}{% endfor %}{% endfor %}{% endfor %}",
        {"t": list(range(1000))},
    ),
    "silent loops": (
        "{% for a in t %}{% for b in t %}{% if a == b and a * b > 99999999 %}x{% endif %}{% endfor %}{% endfor %}",
        {"t": list(range(1000))},
    ),
    "searching loops": ("{% for a in t %}{{ '' if a in t else '' }}{% endfor %}", {"t": list(range(1000))}),
    "rounds": ("{% for a in t %}.{% endfor %}", {"t": BIG[: MOST_ROUNDS + 1]}),
    "growing number": ("{{ n * n }}", {"n": 2**62}),
    "growing float": ("{{ n * n }}", {"n": 1e300}),
    "huge number": ("{{ n ~ '' }}", {"n": 10**5000}),
    "huge division": ("{{ n / 3 }}", {"n": 10**5000}),
    "long body": (
        "{% for a in t %}{{ " + "a+" * 70 + "a }}" + " {{ " + "a+" * 70 + "a }}" + "{% endfor %}",
        {"t": BIG[:1000]},
    ),
    "deep": ("{{ t == u }}", {"t": DEEP, "u": [DEEP]}),
    "json": ("{{ s|fromjson }}", {"s": "[" * 100_000}),
}


@pytest.mark.parametrize("name", VALUE_BOMBS)
def test_a_bomb_in_the_values_is_refused_when_it_is_rendered(name: str) -> None:
    text, scope = VALUE_BOMBS[name]
    template = compile_template(text, blocks=True)
    with within_a_second(), pytest.raises(ExpressionError):
        template.render(scope)


@pytest.mark.parametrize("name", VALUE_BOMBS)
def test_a_bomb_in_the_values_takes_no_memory(name: str) -> None:
    text, scope = VALUE_BOMBS[name]
    template = compile_template(text, blocks=True)
    tracemalloc.start()
    try:
        with pytest.raises(ExpressionError):
            template.render(scope)
        assert tracemalloc.get_traced_memory()[1] < MOST_MEMORY
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("huge", "at most 65536 characters"),
        ("huge expression", "at most 65536 characters"),
        ("parentheses", "nested deeper than 25 brackets"),
        ("open blocks", "nested deeper than 25 brackets"),
        ("open quotes", "within 2000 characters"),
        ("not", "at most 40 times"),
        ("signs with blanks", "at most 40 times"),
        ("filters", "more than 80 operations"),
        ("keys", "more than 80 parts"),
        ("many expressions", "at most 200 expressions"),
        ("nested ifs", "more than 8 blocks"),
        ("text repeated", "* takes numbers only"),
    ],
)
def test_the_limit_that_was_passed_is_named(name: str, said: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_template(BOMBS[name], blocks=True)
    assert said in caught.value.message


def test_a_tree_has_one_budget_for_all_its_texts() -> None:
    tree = compile_tree(["{{ t|sum }}"] * 100)
    with within_a_second(), pytest.raises(ExpressionError, match="too many steps") as caught:
        tree.render({"t": BIG[:10_000]})
    assert caught.value.path != ()


def test_large_values_that_are_only_passed_on_are_not_refused() -> None:
    text = "x" * (LONGEST_TEXT - 100)
    assert compile_template("{{ output }}").render({"output": text}) == text
    assert compile_template("log: {{ output }}").render({"output": text}) == "log: " + text
    assert compile_template("{{ t }}").render({"t": BIG}) is BIG
    assert compile_template("{{ t|length }}").render({"t": BIG}) == len(BIG)


def test_an_ordinary_report_stays_within_the_limits() -> None:
    rows = [{"name": f"pump-{n}", "value": n * 1.5} for n in range(500)]
    template = compile_template(
        "{% for row in rows %}{{ loop.index }}. {{ row.name|upper }}: {{ row.value|round(1) }}\n{% endfor %}",
        blocks=True,
    )
    text = template.render({"rows": rows})
    assert isinstance(text, str)
    assert text.count("\n") == 500
    assert text.endswith("500. PUMP-499: 748.5\n")
