"""What a server elsewhere is sent of the OpenAI protocol."""

from appliance.inference.backends.contract import Dialect, Overlong
from appliance.inference.backends.refusing import sentence
from appliance.lib.jsontypes import JsonObject

_FIELDS = frozenset(
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
        "seed",
        "stop",
        "presence_penalty",
        "frequency_penalty",
        "response_format",
        "tools",
        "tool_choice",
        "encoding_format",
    }
)
"""What OpenAI's own protocol has; others may refuse whatever goes beyond it."""


def _shape(body: JsonObject) -> JsonObject:
    return body


DIALECT = Dialect(_FIELDS, _shape, sentence, overlong=Overlong.UNKNOWN)
