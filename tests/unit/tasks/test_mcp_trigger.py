"""A trigger ``mcp``: what may stand in it, and what its task's vars make of a call."""

import pytest

from appliance.agent.mcp.server.offering import schema_of
from appliance.tasks.definition import TaskDefinition
from appliance.tasks.loader import TaskFileError, load_text


def loaded(trigger: str, rest: str = "") -> TaskDefinition:
    text = f"- name: t\n  triggers: [{trigger}]\n{rest}  actions: [{{type: set, value: 1}}]\n"
    return load_text(text, "t.yaml")[0].definition


def test_the_short_form_names_the_tool() -> None:
    trigger = loaded("mcp restart_pump").triggers[0]
    assert trigger.mcp is not None
    assert (trigger.kind, trigger.mcp.tool, trigger.mcp.wait.total_seconds()) == ("mcp", "restart_pump", 60)
    assert str(trigger) == "mcp restart_pump"


@pytest.mark.parametrize(
    "trigger",
    [
        "{mcp: {tool: 'restart pump'}}",
        "{mcp: {tool: 1st}}",
        "{mcp: {tool: t, wait: 11m}}",
        "{mcp: {}}",
        "{mcp: {tool: t}, when: '{{ true }}'}",
        "{mcp: {tool: t}, timezone: Europe/Paris}",
    ],
)
def test_what_cannot_be_meant_is_refused(trigger: str) -> None:
    with pytest.raises(TaskFileError):
        loaded(trigger)


def test_vars_are_what_a_call_gives_each_of_its_type() -> None:
    definition = loaded(
        "mcp t", "  vars: {name: a, count: 1, share: 0.5, on: true, many: [1], more: {a: 1}, any: null}\n"
    )
    schema = schema_of(definition)
    properties = schema["properties"]
    assert isinstance(properties, dict)
    kinds = {name: one.get("type") for name, one in properties.items() if isinstance(one, dict)}
    assert kinds == {
        "name": "string",
        "count": "number",
        "share": "number",
        "on": "boolean",
        "many": "array",
        "more": "object",
        "any": None,
    }
    assert schema["additionalProperties"] is False
