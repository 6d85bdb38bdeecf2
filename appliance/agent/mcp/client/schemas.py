"""What is kept of the schema of a tool's arguments: shapes, names that are words, short descriptions. Pure."""

import json
import math
from collections.abc import Mapping
from itertools import islice
from typing import Any

from appliance.agent.mcp.client.cleaning import WORD, clean
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.lib.said import Said, say

LARGEST = 16 * 1024
"""Characters of what is kept."""
MOST_NODES = 500
"""Schemas within one schema, each counted as often as it is referred to."""
DEEPEST = 6
MOST_PROPERTIES = 60
MOST_FORMS = 20
MOST_VALUES = 100
LONGEST_DESCRIPTION = 300
_READ_OF_DESCRIPTION = 1_000
_KEPT = ("minimum", "maximum", "minItems", "maxItems", "minLength", "maxLength")
_TYPES = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})


class Unfit(Exception):
    """Why a tool with such arguments cannot be used, in the box's own words."""

    def __init__(self, why: Said) -> None:
        super().__init__(str(why))


def tidied(schema: Mapping[str, Any]) -> JsonObject:
    """What an engine and a check may know of a schema: no patterns, which could take for ever, nothing elsewhere.

    Raises Unfit.
    """
    found = _Tidying(schema).of(schema, ())
    whole: JsonObject = {**found, "type": "object", "properties": found.get("properties", {})}
    if len(json.dumps(whole)) > LARGEST:
        raise _too_long()
    return whole


def _too_long() -> Unfit:
    return Unfit(say("its arguments are described at too great length"))


class _Tidying:
    """Of one schema. References let a few lines stand for any number of schemas: all of them share one count."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._nodes = MOST_NODES
        self._room = LARGEST
        self._described: dict[str, str] = {}

    def of(self, schema: Any, above: tuple[int, ...]) -> JsonObject:
        """``above``: which schemas it stands in. Raises Unfit."""
        self._nodes -= 1
        if self._nodes < 0:
            raise _too_long()
        if id(schema) in above:
            raise Unfit(say("its arguments are described by themselves"))
        if not isinstance(schema, dict) or len(above) > DEEPEST:
            return {}
        within = (*above, id(schema))
        if "$ref" in schema:
            return self.of(_local(schema["$ref"], self._root), within)
        return self._shape(schema) | self._inner(schema, within)

    def _shape(self, schema: Mapping[str, Any]) -> JsonObject:
        """What it says by itself."""
        found: JsonObject = {
            key: self._taken(schema[key]) for key in _KEPT if _is_bound(key, schema.get(key))
        }
        if kinds := _kinds(schema.get("type")):
            found["type"] = kinds[0] if len(kinds) == 1 else kinds
        if isinstance(schema.get("description"), str):
            found["description"] = self._taken(self._description(schema["description"]))
        if isinstance(schema.get("enum"), list):
            values = schema["enum"][:MOST_VALUES]
            found["enum"] = [
                self._taken(one) for one in values if isinstance(one, str | bool) or _is_number(one)
            ]
        if schema.get("additionalProperties") is False:
            found["additionalProperties"] = False
        return found

    def _inner(self, schema: Mapping[str, Any], within: tuple[int, ...]) -> JsonObject:
        """The schemas in it."""
        found: JsonObject = {}
        if isinstance(schema.get("properties"), dict):
            found |= self._properties(schema, within)
        if isinstance(schema.get("items"), dict):
            found["items"] = self.of(schema["items"], within)
        for word in ("anyOf", "oneOf"):
            if isinstance(schema.get(word), list) and schema[word]:
                found["anyOf"] = [self.of(one, within) for one in schema[word][:MOST_FORMS]]
        return found

    def _properties(self, schema: Mapping[str, Any], within: tuple[int, ...]) -> JsonObject:
        kept: JsonObject = {
            self._name(name): self.of(one, within)
            for name, one in islice(schema["properties"].items(), MOST_PROPERTIES)
        }
        needed = schema.get("required")
        said = needed[:MOST_PROPERTIES] if isinstance(needed, list) else []
        named = dict.fromkeys(one for one in said if isinstance(one, str))
        wanted: list[JsonValue] = [one for one in named if one in kept]
        return {"properties": kept, "required": wanted}

    def _name(self, name: str) -> str:
        """A model is told it, and it is no text between marks."""
        if not WORD.fullmatch(name):
            raise Unfit(
                say("an argument is named with other characters than letters, digits and _ . $ -, or over 64")
            )
        self._taken(name)
        return name

    def _description(self, text: str) -> str:
        """Cleaned once, however often it is referred to."""
        if text not in self._described:
            self._described[text] = clean(text[:_READ_OF_DESCRIPTION], LONGEST_DESCRIPTION)
        return self._described[text]

    def _taken(self, value: JsonValue) -> JsonValue:
        """Itself, where there is room for it."""
        self._room -= len(str(value))
        if self._room < 0:
            raise _too_long()
        return value


def _is_number(value: Any) -> bool:
    return not isinstance(value, bool) and (
        isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
    )


def _is_bound(key: str, value: Any) -> bool:
    """Whether a schema may have it there: lengths are counted, and from nothing up."""
    if key in ("minimum", "maximum"):
        return _is_number(value)
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _kinds(kind: Any) -> list[JsonValue]:
    said = kind[: len(_TYPES)] if isinstance(kind, list) else [kind]
    return [one for one in said if isinstance(one, str) and one in _TYPES]


def _local(reference: Any, root: Mapping[str, Any]) -> Any:
    """What a reference within the same schema is about; nothing for one to elsewhere."""
    parts = str(reference).split("/")
    if parts[0] != "#" or len(parts) > 6:
        return {}
    found: Any = root
    for part in parts[1:]:
        found = found.get(part) if isinstance(found, dict) else None
    return found
