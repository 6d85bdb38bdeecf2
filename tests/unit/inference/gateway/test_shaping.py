"""What an engine is sent of what a client asked for."""

import json
from typing import Any

import pytest

from appliance.inference.backends.contract import Dialect
from appliance.inference.backends.llamacpp.dialect import DIALECT
from appliance.inference.domain import Need, Work
from appliance.inference.gateway import shaping
from appliance.inference.gateway.errors import ApiError
from appliance.inference.gateway.requests import ChatRequest, CompletionRequest, EmbeddingRequest, parse

MESSAGES = [{"role": "user", "content": "hi"}]
TOOL = {"type": "function", "function": {"name": "stop", "parameters": {"type": "object", "default": None}}}
START = {"type": "function", "function": {"name": "start", "description": "starts", "strict": True}}
NARROW = Dialect(frozenset({"messages", "model", "stream", "max_tokens"}), lambda b: b, lambda s, b: "")
ENFORCING = Dialect(DIALECT.fields, DIALECT.shape, DIALECT.refusal, forced_tools=True)


def chat(**given: Any) -> shaping.AskedChat:
    body = {"model": "qwen", "messages": MESSAGES, **given}
    return shaping.chat(parse(ChatRequest, json.dumps(body).encode()))


def sent(dialect: Dialect = DIALECT, context: int = 1000, **given: Any) -> Any:
    return chat(**given).body(dialect, "served", context)


def refusal(**given: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        sent(**given)
    assert caught.value.status == 400
    return caught.value


def test_habits_of_clients_are_left_out_without_a_word() -> None:
    habits: Any = {
        "user": "ann",
        "store": True,
        "metadata": {},
        "service_tier": "auto",
        "n": 1,
        "logprobs": False,
    }
    assert sent(**habits) == sent()
    assert sent()["model"] == "served"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 2),
        ("logprobs", True),
        ("functions", [{"name": "f"}]),
        ("function_call", "auto"),
        ("modalities", ["text", "audio"]),
        ("audio", {"voice": "x"}),
        ("prediction", {"type": "content"}),
    ],
)
def test_what_would_change_the_answer_and_cannot_be_done_is_refused_by_name(
    field: str, value: object
) -> None:
    error = refusal(**{field: value})
    assert (error.param, error.code) == (field, "unsupported_parameter")


def test_what_only_this_engine_cannot_do_is_refused_for_it_alone() -> None:
    assert sent(logit_bias={"5": 3}, presence_penalty=1)["presence_penalty"] == 1
    for given in ({"logit_bias": {"5": 3}}, {"presence_penalty": 1}, {"min_p": 0.1}):
        refusal(dialect=NARROW, **given)
    assert set(sent(NARROW, temperature=1, presence_penalty=0)) == NARROW.fields


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_tokens", 0),
        ("max_tokens", -1),
        ("max_completion_tokens", 0),
        ("temperature", 2.1),
        ("temperature", -1),
        ("temperature", "NaN"),
        ("top_p", 0),
        ("min_p", 2),
        ("stop", ["a"] * 17),
        ("stop", [""]),
        ("presence_penalty", 3),
        ("seed", 2**63),
        ("messages", []),
        ("messages", [{"role": "wizard", "content": "hi"}]),
        ("model", ""),
        ("tools", [{"type": "function", "function": {"name": "a b"}}]),
        ("stream", "often"),
    ],
)
def test_values_that_engines_die_of_or_nobody_understands_are_refused(field: str, value: object) -> None:
    assert str(refusal(**{field: value}).param).startswith(field)


def test_no_negative_top_k_reaches_an_engine() -> None:
    assert sent(top_k=-1)["top_k"] == 0
    assert sent(top_k=40)["top_k"] == 40


def test_prompt_and_answer_fit_the_context() -> None:
    room = sent()["max_tokens"]
    assert room == 1000 - chat().estimate
    assert sent(max_tokens=5)["max_tokens"] == 5
    assert sent(max_completion_tokens=7)["max_tokens"] == 7
    assert sent(max_tokens=100_000)["max_tokens"] == room
    long = [{"role": "user", "content": "漢" * 1000}]
    assert chat(messages=long).estimate >= 1200
    assert refusal(messages=long).code == "context_length_exceeded"


def test_only_what_openai_knows_of_a_message_goes_on() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}, "index": 0}
    given = [
        {"role": "developer", "content": "be brief", "secret": 1},
        {"role": "assistant", "tool_calls": [call], "audio": None},
        {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "ok", "cache": 1}]},
    ]
    assert sent(messages=given)["messages"] == [
        {"role": "system", "content": "be brief"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{k: call[k] for k in ("id", "type", "function")}],
        },
        {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "ok"}]},
    ]


def test_no_engine_fetches_an_address_for_a_client() -> None:
    def with_image(url: str) -> Any:
        return [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]

    refusal(messages=with_image("http://10.0.0.1/secret"))
    refusal(messages=with_image("file:///etc/passwd"))
    assert chat(messages=with_image("data:image/png;base64,AA==")).needs == {Need.VISION}


def test_tools_go_as_they_are_where_the_model_may_choose() -> None:
    body = sent(tools=[TOOL], tool_choice="auto")
    assert body["tools"] == [TOOL]
    assert body["tool_choice"] == "auto"
    assert chat(tools=[TOOL]).needs == {Need.TOOLS}
    none = sent(tools=[TOOL], tool_choice="none")
    assert "tools" not in none
    assert not chat(tools=[TOOL], tool_choice="none").needs


def test_a_forced_tool_is_asked_for_by_a_schema_where_the_engine_does_not_see_to_it() -> None:
    named = {"type": "function", "function": {"name": "stop"}}
    body = sent(tools=[TOOL, START], tool_choice=named)
    assert "tools" not in body
    assert "tool_choice" not in body
    assert body["response_format"]["json_schema"]["schema"] == TOOL["function"]["parameters"]  # type: ignore[index]
    assert '"stop"' in body["messages"][0]["content"]
    assert body["messages"][1]["role"] == "user"
    assert chat(tools=[TOOL], tool_choice=named).needs == {Need.JSON}
    assert sent(ENFORCING, tools=[TOOL], tool_choice=named)["tool_choice"] == named


def test_one_of_several_forced_tools_names_itself() -> None:
    asked = chat(tools=[TOOL, START], tool_choice="required")
    schema = asked.body(DIALECT, "served", 1000)["response_format"]["json_schema"]["schema"]  # type: ignore[index,call-overload]
    assert [one["properties"]["name"] for one in schema["anyOf"]] == [{"const": "stop"}, {"const": "start"}]  # type: ignore[index,call-overload,union-attr]
    assert asked.forced is not None
    call: Any = asked.forced.call('{"name": "start", "arguments": {"pump": 3}}')
    assert call["function"] == {"name": "start", "arguments": '{"pump": 3}'}
    assert asked.forced.call('{"name": "other", "arguments": {}}') is None
    assert asked.forced.call('{"name": "sta') is None


def test_a_tool_that_is_not_there_cannot_be_forced() -> None:
    refusal(tools=[TOOL], tool_choice={"type": "function", "function": {"name": "gone"}})
    refusal(tool_choice="required")


def test_an_instruction_joins_the_systems_own_message() -> None:
    messages = [{"role": "system", "content": "be brief"}, *MESSAGES]
    body = sent(tools=[TOOL], tool_choice="required", messages=messages)
    assert body["messages"][0]["content"].startswith("be brief\n\nCall one")
    assert len(body["messages"]) == 2


def test_completions_take_one_text() -> None:
    def text(**given: Any) -> Any:
        body = json.dumps({"model": "qwen", "prompt": "once", **given}).encode()
        return shaping.text(parse(CompletionRequest, body)).body(DIALECT, "served", 100)

    assert text()["prompt"] == "once"
    assert text(prompt=["once"])["prompt"] == "once"
    for given in (
        {"prompt": [1, 2]},
        {"prompt": ["a", "b"]},
        {"echo": True},
        {"best_of": 2},
        {"logprobs": 1},
    ):
        with pytest.raises(ApiError):
            text(**given)


def test_vectors_are_asked_for_as_numbers_and_each_text_must_fit() -> None:
    def vectors(**given: Any) -> shaping.AskedVectors:
        body = json.dumps({"model": "auto", "input": "once", **given}).encode()
        return shaping.vectors(parse(EmbeddingRequest, body))

    asked = vectors(input=["a", "b"], encoding_format="base64")
    assert asked.as_base64
    assert asked.work is Work.EMBEDDINGS
    assert asked.body(DIALECT, "e5", 10)["encoding_format"] == "float"
    with pytest.raises(ApiError, match="tokens"):
        vectors(input=["a", "b" * 100]).body(DIALECT, "e5", 10)
    with pytest.raises(ApiError, match="dimensions"):
        vectors(dimensions=64).body(DIALECT, "e5", 10)
