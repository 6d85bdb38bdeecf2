"""What TensorRT-LLM's server takes of the OpenAI protocol.

A field that it does not know it refuses, and some values that it takes end it: so a body is made of what is listed
here, within bounds.
"""

from collections.abc import Callable
from functools import partial

from appliance.inference.backends.contract import Dialect, Overlong
from appliance.inference.backends.refusing import sentence
from appliance.inference.backends.trtllm.capabilities import TABLE, Capabilities, SchemaForm
from appliance.lib.jsontypes import JsonObject, JsonValue

_FIELDS = frozenset(
    {
        "messages",
        "prompt",
        "model",
        "stream",
        "stream_options",
        "max_tokens",
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "seed",
        "stop",
        "presence_penalty",
        "frequency_penalty",
        "response_format",
        "tools",
        "tool_choice",
    }
)


def dialect_of(known: Capabilities) -> Dialect:
    fields = _FIELDS | {"parallel_tool_calls"} if known.forced_tools else _FIELDS
    shape: Callable[[JsonObject], JsonObject] = partial(_shape, known)
    # Of a prompt that is too long it has died (its issues 4441 and 6329).
    return Dialect(
        fields,
        shape,
        sentence,
        forced_tools=known.forced_tools,
        prometheus=known.metrics,
        overlong=Overlong.DEADLY,
    )


def _shape(known: Capabilities, body: JsonObject) -> JsonObject:
    found = dict(body)
    # Of less than that the server has died (its issues 7692 and 6329).
    if _below(found.get("max_tokens"), 1):
        found["max_tokens"] = 1
    if _below(found.get("top_k"), 0):
        del found["top_k"]
    if not found.get("stream"):
        found.pop("stream_options", None)
    if not known.forced_tools and found.get("tool_choice") == "required":
        found["tool_choice"] = "auto"
    if known.schema_form is SchemaForm.JSON:
        found = _with_plain_schema(found)
    return found


def _below(value: JsonValue, least: int) -> bool:
    return isinstance(value, int | float) and value < least


def _with_plain_schema(body: JsonObject) -> JsonObject:
    wanted = body.get("response_format")
    if not isinstance(wanted, dict) or wanted.get("type") != "json_schema":
        return body
    wrapped = wanted.get("json_schema")
    schema = wrapped.get("schema", {}) if isinstance(wrapped, dict) else {}
    return {**body, "response_format": {"type": "json", "schema": schema}}


DIALECT = dialect_of(TABLE[0])
"""What every version takes, for who does not know which one it is."""
