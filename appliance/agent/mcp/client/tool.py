"""A tool of another server as an agent sees it: pinned when its step began. Pure."""

from collections.abc import Collection
from typing import Any

from pydantic import ConfigDict

from appliance.agent.domain import Risk
from appliance.agent.errors import ToolUnknown
from appliance.agent.fitting import missing_argument
from appliance.agent.mcp.client.cleaning import WORD
from appliance.agent.mcp.client.domain import Pinned
from appliance.agent.tools.contract import Arguments, Tool
from appliance.lib.json_schema import misfit, place_of
from appliance.lib.jsontypes import JsonObject

_WRONG = {
    "type": "not of the kind that its schema asks for",
    "enum": "not one of the values that its schema allows",
    "required": "something that its schema needs is missing",
    "additionalProperties": "something stands there that its schema does not have",
    "anyOf": "none of the forms that its schema allows",
    "minimum": "less than its schema allows",
    "maximum": "more than its schema allows",
    "minItems": "fewer than its schema allows",
    "maxItems": "more than its schema allows",
    "minLength": "shorter than its schema allows",
    "maxLength": "longer than its schema allows",
}
_OTHERWISE = "not as its schema asks"


class Given(Arguments):
    """What its server's schema says; that is looked at by the tool itself."""

    model_config = ConfigDict(extra="allow", frozen=True)


class RemoteTool(Tool[Given]):
    """``says`` is its server's word: data, never an order."""

    arguments = Given
    from_outside = True

    def __init__(self, pinned: Pinned) -> None:
        self._pinned = pinned
        # Of this very tool, not of its class: each server's are their own.
        self.name = pinned.name  # type: ignore[misc]
        self.says = pinned.says  # type: ignore[misc]
        self.risk = pinned.risk  # type: ignore[misc]

    def read(self, given: JsonObject) -> Given:
        """What does not fit is said by its place and in the box's words: of a schema, which is its server's text, only
        names that are words are said again."""
        needed: Any = self._pinned.schema.get("required", [])
        lacking = next((name for name in needed if name not in given and WORD.fullmatch(name)), None)
        if lacking is not None:
            message, hint = missing_argument(lacking, self.takes(()) or ())
            raise ToolUnknown(message, hint=hint)
        try:
            wrong = misfit(self._pinned.schema, given)
        except ValueError as error:
            raise ToolUnknown("what its server says of its arguments is no schema") from error
        if wrong is not None:
            raise ToolUnknown(f"{place_of(wrong)}: {_WRONG.get(str(wrong.validator), _OTHERWISE)}")
        return Given.model_validate(given)

    def takes(self, fixed: Collection[str]) -> tuple[str, ...] | None:
        """Names that are words, which are no sentence of its server's."""
        properties: Any = self._pinned.schema.get("properties", {})
        if not properties and self._pinned.schema.get("additionalProperties") is not False:
            return None
        return tuple(name for name in properties if name not in fixed and WORD.fullmatch(name))

    def step(self, given: Given) -> JsonObject:
        return {
            "type": "mcp_call",
            "server": self._pinned.server,
            "tool": self._pinned.tool,
            "arguments": dict(given.model_extra or {}),
            "reads": self._pinned.risk is Risk.READ,
            "digest": self._pinned.digest,
        }

    def leaves(self, given: Given, fixed: Collection[str]) -> bool:
        """Whatever the model gives goes to another program, also where that only reads; one that changes something is
        asked about as that."""
        return self.risk is Risk.READ and bool((given.model_extra or {}).keys() - set(fixed))

    def schema(self, fixed: JsonObject) -> JsonObject:
        """What an engine keeps to: shapes alone. The server's own words about them are no part of it."""
        whole = _bare(self._pinned.schema)
        properties: Any = whole.get("properties", {})
        needed: Any = whole.get("required", [])
        return {
            "type": "object",
            "properties": {name: one for name, one in properties.items() if name not in fixed},
            "required": [name for name in needed if name not in fixed],
            "additionalProperties": False,
        }

    def words(self, fixed: JsonObject) -> str:
        """What its server says of it and of its arguments, for the model to read as data."""
        properties: Any = self._pinned.schema.get("properties", {})
        lines = [
            f"{name}: {one['description']}"
            for name, one in properties.items()
            if name not in fixed and isinstance(one, dict) and one.get("description")
        ]
        return "\n".join([self.says, *lines])


def _bare(value: Any) -> Any:
    """Without descriptions. A property of that name is none."""
    if isinstance(value, list):
        return [_bare(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        key: {name: _bare(one) for name, one in inner.items()}
        if key == "properties" and isinstance(inner, dict)
        else _bare(inner)
        for key, inner in value.items()
        if key != "description" or not isinstance(inner, str)
    }
