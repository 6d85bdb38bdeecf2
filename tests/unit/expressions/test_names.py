"""Which names a text uses, and where: the loader judges them when a file is saved."""

import pytest

from appliance.expressions import compile_template, compile_tree
from appliance.expressions.fields import names_in
from appliance.expressions.shell import compile_shell


@pytest.mark.parametrize(
    ("text", "names", "guarded"),
    [
        ("plain", "", ""),
        ("{{ payload.value > vars.limit }}", "payload.value vars.limit", ""),
        ("{{ payload.a.b['c'] }}", "payload.a", ""),
        ("{{ payload['a'] }}{{ payload[0] }}", "payload.a payload", ""),
        ("{{ payload[vars.key] }}", "payload vars.key", ""),
        ("{{ outputs.explain | default('') }}", "", "outputs.explain"),
        ("{{ output|default(vars.x) }}", "vars.x", "output"),
        ("{{ output|default(1) }}{{ output }}", "output", ""),
        ("{{ error if error is defined else '' }}", "error", ""),
        ("{{ (a.b ~ c)|default(1) }}", "", "a.b c"),
        ("{{ cache.last }}{{ previous.x }}", "cache.last previous.x", ""),
        ("{{ state('a/' ~ line) }}", "line", ""),
        (
            "{% for item in payload %}{{ item.a ~ loop.index ~ b }}{% endfor %}{{ item }}",
            "payload b item",
            "",
        ),
        ("{% for k, v in m|items %}{{ k ~ v }}{% endfor %}", "m", ""),
        ("{% if a %}{{ b }}{% elif c %}{% else %}{{ d }}{% endif %}", "a b c d", ""),
    ],
)
def test_names_are_root_and_first_key(text: str, names: str, guarded: str) -> None:
    template = compile_template(text, blocks=True)
    assert template.names == frozenset(names.split())
    assert template.guarded == frozenset(guarded.split())


def test_every_name_has_the_place_of_its_first_use() -> None:
    text = "é {{ 'vars.limit' }} {{ a + vars.limit }}{{ vars.limit }}"
    template = compile_template(text)
    assert template.offset_of("vars.limit") == text.index("vars.limit }}{{")
    assert template.offset_of("a") == text.index("a +")
    command = "echo {{ a }} '{{ b.c }}'"
    assert compile_shell(command).offset_of("b.c") == command.index("b.c")


def test_names_are_collected_from_trees_models_and_lists() -> None:
    tree = compile_tree(
        {"a": ["{{ x.y }}", 1, None, "{{ z|default(1) }}"], "{{ key }}": "{{ z2|default(2) }}"}
    )
    assert names_in(tree) == (frozenset({"x.y"}), frozenset({"z", "z2"}))
    assert names_in([tree, {"k": compile_shell("echo {{ z }}")}, "text", None]) == (
        frozenset({"x.y", "z"}),
        frozenset({"z2"}),
    )
