"""Tools that must be called, for engines that do not see to it: by a JSON schema, which all enforce. Pure."""

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from appliance.inference.gateway.errors import invalid
from appliance.inference.gateway.requests import ChatRequest, Function, NamedChoice
from appliance.lib.jsontypes import JsonObject

_ANYTHING: dict[str, Any] = {"type": "object"}


@dataclass(frozen=True, slots=True)
class Forced:
    """The functions of which one must be called. With one the answer is its arguments; else it names the function."""

    functions: tuple[Function, ...]

    @property
    def response_format(self) -> dict[str, Any]:
        if len(self.functions) == 1:
            schema = self.functions[0].parameters or _ANYTHING
        else:
            schema = {"anyOf": [_call(one) for one in self.functions]}
        return {"type": "json_schema", "json_schema": {"name": "call", "schema": schema, "strict": True}}

    @property
    def instruction(self) -> str:
        """What the model is told, as its template may know nothing of tools."""
        known = "\n".join(_described(one) for one in self.functions)
        how = "its arguments" if len(self.functions) == 1 else "its name and its arguments"
        return f"Call one of these functions. Answer with {how} as JSON, and nothing else.\n{known}"

    def call(self, text: str) -> JsonObject | None:
        """The tool call that a model's answer is; None where it is none (it was cut short, say)."""
        try:
            said = json.loads(text)
        except ValueError:
            return None
        name, arguments = self.functions[0].name, said
        if len(self.functions) > 1:
            if not isinstance(said, dict) or said.get("name") not in {one.name for one in self.functions}:
                return None
            name, arguments = said["name"], said.get("arguments", {})
        function: JsonObject = {"name": name, "arguments": json.dumps(arguments, ensure_ascii=False)}
        return {"id": f"call_{secrets.token_hex(12)}", "type": "function", "function": function}


def forced(sent: ChatRequest) -> Forced | None:
    """Raises ApiError where a function is named that is not among the tools."""
    functions = [tool.function for tool in sent.tools or ()]
    if isinstance(sent.tool_choice, NamedChoice):
        return Forced((_named(functions, sent.tool_choice.function.name),))
    if sent.tool_choice != "required":
        return None
    if not functions:
        raise invalid("tool_choice: there are no tools to choose from", "tool_choice")
    return Forced(tuple(functions))


def _named(functions: Sequence[Function], name: str) -> Function:
    found = next((one for one in functions if one.name == name), None)
    if found is None:
        raise invalid(f"tool_choice: there is no function {name!r} among the tools", "tool_choice")
    return found


def _call(function: Function) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"name": {"const": function.name}, "arguments": function.parameters or _ANYTHING},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def _described(function: Function) -> str:
    told = {"name": function.name, "parameters": function.parameters or _ANYTHING}
    return json.dumps(
        {**told, "description": function.description} if function.description else told, ensure_ascii=False
    )
