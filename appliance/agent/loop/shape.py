"""What an answer has to look like: a schema that engines can keep to, small enough for small models. Pure."""

from collections.abc import Mapping

from appliance.lib.jsontypes import JsonObject, JsonValue

MOST_CALLS = 6
MORE = "more_tools"
_ABOUT: JsonObject = {
    "type": "object",
    "properties": {"about": {"type": "string", "description": "What the tool should be good for."}},
    "required": ["about"],
    "additionalProperties": False,
}


def shape(offered: Mapping[str, JsonObject], *, last: bool, more: bool) -> JsonObject:
    """``offered``: each tool with the schema of its arguments. ``last``: nothing can be called any more."""
    said: JsonObject = {"say": _text("One sentence: what you found and what you do next.")}
    ended: JsonObject = {
        "done": {"type": "boolean"} if not last else {"enum": [True]},
        "answer": _text("The answer to the goal, when done; else empty."),
        "changed": {"type": "boolean", "description": "Whether you have changed anything."},
    }
    tools = {**offered, MORE: _ABOUT} if more else dict(offered)
    if last or not tools:
        return _object({**said, **ended})
    kinds: list[JsonValue] = [
        _object({"tool": {"enum": [name]}, "arguments": schema, "why": _text("In a few words.")})
        for name, schema in tools.items()
    ]
    calls: JsonObject = {"type": "array", "maxItems": MOST_CALLS, "items": {"anyOf": kinds}}
    return _object({**said, "calls": calls, **ended})


def _text(description: str) -> JsonObject:
    return {"type": "string", "description": description}


def _object(properties: JsonObject) -> JsonObject:
    needed: list[JsonValue] = list(properties)
    return {
        "type": "object",
        "properties": properties,
        "required": needed,
        "additionalProperties": False,
    }
