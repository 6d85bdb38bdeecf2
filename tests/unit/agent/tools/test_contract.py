"""What a tool says of itself follows from the steps that it makes."""

from typing import Any

import pytest

from appliance.actions.contract import EffectClass
from appliance.agent.domain import Call, Risk
from appliance.agent.errors import ToolUnknown
from appliance.agent.loop.calling import made
from appliance.agent.reference import render_reference
from appliance.agent.tools.registry import tools
from appliance.tasks.management.commands.reference import pages
from tests.unit.agent.loop.test_growth import asked

HARMLESS = {EffectClass.PURE, EffectClass.IDEMPOTENT}


@pytest.mark.parametrize("name", sorted(tools()))
def test_every_example_makes_a_step_whose_effect_is_that_of_its_kind(name: str) -> None:
    tool = tools()[name]
    assert tool.effect == tuple(sorted(tool.effect, key=list(EffectClass).index))
    for example in (tool.example, *tool.also):
        found = made(asked(tools={name: dict(tool.example_fixed)}), Call(name, dict(example)))
        spec = found.step("call-1-1")
        given = tool.arguments.model_validate({**example, **tool.example_fixed})
        assert tool.effect_of(given) in tool.effect
        assert spec.on_error == "continue"


@pytest.mark.parametrize("name", sorted(tools()))
def test_what_is_called_a_read_makes_no_step_that_may_harm(name: str) -> None:
    tool = tools()[name]
    for given in tool.examples:
        if tool.risk_of(given) is Risk.READ:
            assert tool.effect_of(given) in HARMLESS


@pytest.mark.parametrize("name", sorted(tools()))
def test_every_argument_has_a_sentence_and_the_author_gives_what_is_fixed(name: str) -> None:
    tool = tools()[name]
    fields = tool.arguments.model_fields
    assert all((one.description or "").endswith((".", "*")) for one in fields.values())
    assert tool.by_author | tool.must_fix | tool.leaves_to | tool.verbatim <= fields.keys()
    assert tool.must_fix <= tool.example_fixed.keys()
    assert not tool.example_fixed.keys() & tool.example.keys()


def test_the_page_in_the_repository_is_the_one_the_code_gives() -> None:
    ((path, render),) = [one for one in pages() if one[0].name == "agent-tools.md"]
    assert path.read_text(encoding="utf-8") == render() == render_reference(), "run `make docs`"
    for name in tools():
        assert f"## {name}\n" in render()


@pytest.mark.parametrize(
    ("query", "risk"),
    [
        ("SELECT name FROM parts WHERE stock < 5", Risk.READ),
        ("SELECT count(*) FROM parts", Risk.READ),
        ("SELECT pg_terminate_backend(1)", Risk.CHANGE),
        ("SELECT dblink_exec('host=evil', 'DELETE FROM x')", Risk.CHANGE),
        ("SELECT lo_export(1, '/tmp/x')", Risk.CHANGE),
        ("COPY parts TO PROGRAM 'rm -r /'", Risk.CHANGE),
        ("DELETE FROM parts", Risk.CHANGE),
    ],
)
def test_a_query_is_a_read_only_where_nothing_in_it_can_do_more(query: str, risk: Risk) -> None:
    given = asked(tools={"sql_query": {"database": "shop"}})
    assert made(given, Call("sql_query", {"query": query})).risk is risk


def test_a_container_is_never_a_read() -> None:
    given = asked(tools={"container": {"image": "tools"}})
    assert made(given, Call("container", {"command": "cat /etc/os-release"})).risk is Risk.CHANGE
    assert made(given, Call("container", {"command": "rm -r /srv"})).risk is Risk.DESTROY
    with pytest.raises(ToolUnknown, match="image is not yours to give"):
        made(given, Call("container", {"command": "id", "image": "evil"}))


HOSTILE = "- name: x\n  trigger: manual\n  actions: [{type: set, value: '{{ payload }} secret:erp'}]\n"


def test_what_is_kept_verbatim_is_filled_in_by_nobody() -> None:
    given = asked(tools={"task_propose": {}, "mqtt": {}})
    spec = made(given, Call("task_propose", {"task": HOSTILE})).step("call-1-1")
    params: Any = spec.params
    assert params.text == HOSTILE
    assert type(params.text) is str
    assert spec.names == (frozenset(), frozenset())
    with pytest.raises(ToolUnknown, match="used as it is written"):
        made(given, Call("task_propose", {"task": HOSTILE, "why": "{{ payload }}"}))
    with pytest.raises(ToolUnknown, match="used as it is written"):
        made(given, Call("mqtt", {"topic": "a", "payload": "{{ payload }}"}))
    with pytest.raises(ToolUnknown, match="stored secret"):
        made(given, Call("mqtt", {"topic": "a", "payload": "secret:erp"}))
