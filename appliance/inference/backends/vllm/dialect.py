"""What vLLM's server takes of the OpenAI protocol."""

from appliance.inference.backends.contract import Dialect
from appliance.inference.backends.refusing import sentence
from appliance.lib.jsontypes import JsonObject

_FIELDS = frozenset(
    {
        *("messages", "prompt", "input", "model", "stream", "stream_options", "max_tokens", "temperature"),
        *("top_p", "top_k", "min_p", "seed", "stop", "presence_penalty", "frequency_penalty", "logit_bias"),
        *("response_format", "tools", "tool_choice", "parallel_tool_calls", "encoding_format"),
    }
)


def _shape(body: JsonObject) -> JsonObject:
    return body


DIALECT = Dialect(_FIELDS, _shape, sentence, forced_tools=True, prometheus="/metrics")
