"""A whole answer out of its pieces."""

import base64
import struct
from typing import Any

from appliance.inference.gateway.assembling import as_base64, assemble_chat, assemble_text
from tests.models_desk import desk
from tests.standins.model_engine import Says, event

TOOL = {"type": "function", "function": {"name": "stop", "parameters": {"type": "object"}}}


def piece(delta: Any, reason: str | None = None, **given: Any) -> Any:
    return {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": reason, **given}]}


def test_tool_calls_that_come_in_pieces_are_put_together_by_their_number() -> None:
    def call(number: int, **function: str) -> Any:
        more = {"id": f"call_{number}", "type": "function"} if "name" in function else {}
        return {"tool_calls": [{"index": number, **more, "function": function}]}

    chunks = [
        piece(call(1, name="b", arguments="")),
        piece(call(0, name="a", arguments='{"x"')),
        piece(call(0, arguments=": 1}")),
        piece({}, "tool_calls"),
    ]
    whole: Any = assemble_chat(chunks, {}, None)
    message = whole["choices"][0]["message"]
    assert [one["function"] for one in message["tool_calls"]] == [
        {"name": "a", "arguments": '{"x": 1}'},
        {"name": "b", "arguments": ""},
    ]
    assert message["content"] is None
    assert whole["choices"][0]["finish_reason"] == "tool_calls"


def test_thoughts_and_probabilities_are_kept() -> None:
    chunks = [
        piece({"reasoning_content": "hm"}),
        piece({"content": "a"}, logprobs={"content": [{"token": "a"}]}),
        piece({"content": "b"}, "length", logprobs={"content": [{"token": "b"}]}),
    ]
    choice: Any = assemble_chat(chunks, {}, None)["choices"][0]  # type: ignore[index]
    assert choice["message"]["reasoning_content"] == "hm"
    assert choice["logprobs"] == {"content": [{"token": "a"}, {"token": "b"}]}
    assert choice["finish_reason"] == "length"


def test_a_text_is_put_together() -> None:
    chunks: list[Any] = [
        {"id": "t", "choices": [{"text": "on"}]},
        {"choices": [{"text": "ce", "finish_reason": "stop"}]},
    ]
    whole: Any = assemble_text(chunks, {"total_tokens": 2})
    assert whole["choices"][0]["text"] == "once"
    assert whole["object"] == "text_completion"


def test_vectors_in_base64_are_little_endian_floats() -> None:
    answer = {"data": [{"embedding": [1.0, -0.5]}]}
    as_base64(answer)
    assert struct.unpack("<2f", base64.b64decode(str(answer["data"][0]["embedding"]))) == (1.0, -0.5)


async def test_a_forced_call_comes_as_a_tool_call_whole_or_in_a_stream() -> None:
    said = tuple(event(piece({"content": text})) for text in ('{"pu', 'mp": 3}'))
    said = (*said, event(piece({}, "stop")), b"data: [DONE]\n\n")
    async with desk() as d:
        d.engine.usual = Says(said)
        whole = await d.chat(tools=[TOOL], tool_choice="required")
        stream = await d.chat(
            tools=[TOOL], tool_choice="required", stream=True, stream_options={"include_usage": True}
        )
    choice = whole.json["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["tool_calls"][0]["function"] == {"name": "stop", "arguments": '{"pump": 3}'}
    first, last, usage = stream.events
    assert first["choices"][0]["delta"]["tool_calls"][0]["function"]["name"] == "stop"
    assert last["choices"][0]["finish_reason"] == "tool_calls"
    assert usage["choices"] == []
    assert stream.body.endswith(b"data: [DONE]\n\n")


async def test_a_forced_call_that_was_cut_short_stays_text() -> None:
    async with desk() as d:
        d.engine.usual = Says(
            (event(piece({"content": '{"pu'})), event(piece({}, "length")), b"data: [DONE]\n\n")
        )
        choice = (await d.chat(tools=[TOOL], tool_choice="required")).json["choices"][0]
    assert choice["finish_reason"] == "length"
    assert choice["message"]["content"] == '{"pu'
