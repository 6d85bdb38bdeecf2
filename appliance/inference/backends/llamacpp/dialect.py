"""What llama.cpp's server takes of the OpenAI protocol."""

import json

from appliance.inference.backends.contract import Dialect
from appliance.lib.jsontypes import JsonObject

FIELDS = frozenset(
    {
        "messages",
        "prompt",
        "input",
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
        "logit_bias",
        "response_format",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "encoding_format",
    }
)


def shape(body: JsonObject) -> JsonObject:
    """As it is: it takes a JSON schema in OpenAI's own form."""
    return body


def refusal(status: int, body: bytes) -> str:
    """The message of ``{"error": {"message": …}}``."""
    try:
        error = json.loads(body)["error"]
        said = error["message"] if isinstance(error, dict) else error
    except (ValueError, KeyError, TypeError):
        said = body[:200].decode("utf-8", "replace")
    return str(said)[:500] or f"the engine answered with status {status}"


def blames_answer(said: str) -> bool:
    """Its parser of what a model says gives up on an answer that is cut, or is none."""
    return "does not match the expected" in said or "Failed to parse input at pos" in said


# Named tools are enforced only where the model's template knows tools (its issue #26849).
DIALECT = Dialect(
    FIELDS, shape, refusal, forced_tools=False, prometheus="/metrics", blames_answer=blames_answer
)
