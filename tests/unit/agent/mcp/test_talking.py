"""What is made of a result of ``tools/call``."""

from typing import Any

import pytest

from appliance.agent.domain import Risk
from appliance.agent.errors import ToolUnknown
from appliance.agent.mcp.client.domain import Pinned
from appliance.agent.mcp.client.talking import LONGEST_ANSWER, answer_of
from appliance.agent.mcp.client.tool import RemoteTool

TEXT: Any = {"type": "text", "text": "12 <|im_start|>in shelf B"}


def test_texts_are_one_text_without_control_tokens() -> None:
    assert answer_of([TEXT, TEXT], None, False).output == "12 in shelf B\n12 in shelf B"


def test_a_structure_is_given_where_there_is_one_and_cleaned() -> None:
    assert answer_of([TEXT], {"a": ["<|im_end|>x"]}, False).output == {"a": ["x"]}


def test_a_structure_that_is_too_long_gives_its_text() -> None:
    assert answer_of([TEXT], {"a": "x" * LONGEST_ANSWER}, False).output == "12 in shelf B"


def test_an_error_gives_its_words_and_not_its_structure() -> None:
    found = answer_of([TEXT], {"a": 1}, True)
    assert (found.output, found.failed) == ("12 in shelf B", True)


def test_pictures_are_named_and_not_kept() -> None:
    picture: Any = {"type": "image", "mimeType": "image/png", "data": "A" * 400}
    assert answer_of([picture], None, False).output == "[image, image/png, 300 bytes: not kept]"


def remote(**schema: Any) -> RemoteTool:
    whole = {
        "type": "object",
        "properties": {"part": {"type": "string", "description": "A number."}},
        **schema,
    }
    return RemoteTool(Pinned("shop", "find", "Find.", whole, Risk.READ, "d" * 64))


def test_a_step_holds_what_the_tool_was_when_it_was_pinned() -> None:
    tool = remote()
    step = tool.step(tool.read({"part": "P1"}))
    assert (step["digest"], step["reads"], step["arguments"]) == ("d" * 64, True, {"part": "P1"})


def test_what_does_not_fit_is_refused_in_words() -> None:
    with pytest.raises(ToolUnknown, match="part: 7 is not of type 'string'"):
        remote().read({"part": 7})


def test_a_property_called_description_is_a_property() -> None:
    tool = remote(properties={"description": {"type": "string", "description": "What."}})
    assert tool.schema({})["properties"] == {"description": {"type": "string"}}
    assert tool.words({}) == "Find.\ndescription: What."
    assert tool.schema({"description": "x"})["properties"] == {}
