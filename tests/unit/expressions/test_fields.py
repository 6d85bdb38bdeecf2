"""Field types: text in the file, a compiled template in the model, text again when it is dumped."""

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from appliance.expressions import Tree
from appliance.expressions.fields import (
    ConditionField,
    MessageField,
    ShellField,
    TemplateField,
    TextField,
    TreeField,
    names_in,
)


class Step(BaseModel):
    topic: TemplateField = None  # type: ignore[assignment] # each test gives the fields that it is about
    text: TextField | None = None
    message: MessageField | None = None
    when: ConditionField | None = None
    value: TreeField = Tree(None)
    command: ShellField | None = None
    args: tuple[TemplateField, ...] = ()


GIVEN: dict[str, Any] = {
    "topic": "a/{{ line }}",
    "text": "{{ line }}",
    "message": "{% if line %}{{ line }}{% endif %}",
    "when": "{{ line > 1 }}",
    "value": {"a": ["{{ payload.x }}", 1, None]},
    "command": "echo {{ line }}",
    "args": ["sleep", "{{ vars.s }}"],
}


def test_fields_compile_and_give_their_source_back() -> None:
    step = Step.model_validate(GIVEN)
    assert step.topic.render({"line": 3}) == "a/3"
    assert step.text is not None
    assert step.text.render({"line": 3}) == "3"
    assert step.value.render({"payload": {"x": 2}}) == {"a": [2, 1, None]}
    dumped = step.model_dump(mode="json")
    assert dumped == GIVEN
    assert Step.model_validate(dumped) == step
    assert Step.model_validate_json(step.model_dump_json()) == step
    assert names_in(step) == (frozenset({"line", "payload.x", "vars.s"}), frozenset())


def test_a_number_where_text_is_wanted_is_text() -> None:
    step = Step.model_validate({"args": ["sleep", 5]})
    assert [argument.render({}) for argument in step.args] == ["sleep", "5"]


def test_the_json_schema_says_string() -> None:
    properties = Step.model_json_schema()["properties"]
    assert properties["topic"]["type"] == "string"
    for name in ("text", "message", "when", "command"):
        assert properties[name]["anyOf"][0]["type"] == "string"
    assert properties["args"]["items"]["type"] == "string"


@pytest.mark.parametrize(
    ("given", "offset", "path"),
    [
        ({"topic": "a/{{ line + }}"}, 10, []),
        ({"when": "{{ 1 }}{{ 2 | nope }}"}, 14, []),
        ({"message": "{% if a %}"}, 0, []),
        ({"value": {"a": [0, "x{{ ( }}"]}}, 4, ["a", 1]),
        ({"command": "echo `{{ a }}`"}, 6, []),
        ({"args": ["a", "b {{ c|nope }}"]}, 7, []),
    ],
)
def test_an_error_carries_its_offset_in_the_context(
    given: dict[str, Any], offset: int, path: list[Any]
) -> None:
    with pytest.raises(ValidationError) as caught:
        Step.model_validate(given)
    (error,) = caught.value.errors()
    assert error["type"] == "expression"
    assert (error["ctx"]["offset"], error["ctx"]["path"]) == (offset, path)
    assert error["ctx"]["message"] == error["msg"]
    assert isinstance(error["ctx"]["hint"], str)


@pytest.mark.parametrize(
    "given", [{"topic": True}, {"topic": ["a"]}, {"when": 5}, {"command": 5}, {"value": {1}}]
)
def test_what_is_no_text_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        Step.model_validate(given)
    assert caught.value.errors()[0]["type"] == "template_type"
