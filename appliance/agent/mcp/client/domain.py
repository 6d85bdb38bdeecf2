"""Servers of tools, their tools, and what of what they say is kept. Pure."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from appliance.agent.domain import Risk
from appliance.agent.errors import McpRefused
from appliance.agent.loop.outside import bounded
from appliance.agent.mcp.client.driver import digest_of
from appliance.agent.tools.registry import REMOTE
from appliance.inference.control_tokens import without_control_tokens
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.lib.plain import plain_text
from appliance.lib.said import say
from appliance.safety.references import REFERENCE

NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
TOOL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./-]{0,99}")
ENV = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,59}")
PREFIX = REMOTE
LONGEST_SAY = 1_000
LARGEST_SCHEMA = 16 * 1024
DEEPEST = 6
MOST_PROPERTIES = 60
MOST_WORDS = 50


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """One server: either at a ``url``, or a ``command`` that is run confined for each talk.

    ``secret`` is ``secret:NAME``: sent as its bearer token, or put into the command's variable ``env``. ``private``:
    the url may lie in the plant's own network. ``reads``: absolute paths that the command may read.
    """

    name: str
    url: str = ""
    command: tuple[str, ...] = ()
    secret: str = ""
    env: str = ""
    private: bool = False
    reads: tuple[str, ...] = ()
    enabled: bool = True

    def checked(self) -> "ServerSpec":
        """Itself. Raises McpRefused."""
        if not NAME.fullmatch(self.name):
            raise McpRefused(
                f"{self.name[:60]!r} is no name of a server",
                hint="small letters, digits, - and _, as in shop",
            )
        if bool(self.url) == bool(self.command):
            raise McpRefused("a server has either an address or a command")
        if self.secret and not re.fullmatch(REFERENCE, self.secret):
            raise McpRefused("the token is named, not told", hint="as in secret:SHOP_TOKEN")
        if self.command and bool(self.secret) != bool(self.env):
            raise McpRefused("a command gets its secret in a variable", hint="name both, or none")
        if self.env and not ENV.fullmatch(self.env):
            raise McpRefused(f"{self.env[:60]!r} is no name of a variable")
        if self.url and (self.env or self.reads):
            raise McpRefused("only a command has a variable and paths")
        said = (self.url, *self.command, *self.reads)
        if any(len(one) > 500 or not one.isprintable() for one in said) or len(self.command) > MOST_WORDS:
            raise McpRefused("address, command and paths are printable text of at most 500 characters")
        if any(not one.startswith("/") for one in self.reads):
            raise McpRefused("what a command may read is an absolute path")
        return self

    @property
    def place(self) -> str:
        """What people read."""
        return self.url or " ".join(self.command)


class ToolState(StrEnum):
    OPEN = "allowed"
    CLOSED = "not_allowed"
    CHANGED = "changed"
    """It was allowed, and is another one now: closed until it is allowed again."""
    GONE = "gone"
    UNUSABLE = "unusable"


@dataclass(frozen=True, slots=True)
class ToolSeen:
    """A tool as its server described it. ``unusable`` says why it cannot be allowed."""

    name: str
    says: str
    schema: JsonObject
    digest: str
    hints: JsonObject = field(default_factory=dict)
    unusable: str = ""

    @classmethod
    def of(cls, name: str, description: str, schema: Any, hints: Mapping[str, Any]) -> "ToolSeen":
        digest = digest_of(name, description, schema)
        kept = tidied(schema) if isinstance(schema, dict) else {}
        why = ""
        if not TOOL.fullmatch(name):
            why = str(say("its name has other characters than letters, digits and _ . / -"))
        elif not isinstance(schema, dict) or schema.get("type") != "object":
            why = str(say("its arguments are no object"))
        elif len(json.dumps(kept)) > LARGEST_SCHEMA:
            kept, why = {}, str(say("its arguments are described at too great length"))
        known = {key: hints[key] is True for key in ("readOnlyHint", "destructiveHint") if key in hints}
        return cls(plain_text(name)[:100], clean(description), kept, digest, dict(known), why)


@dataclass(frozen=True, slots=True)
class Pinned:
    """A tool as a step begins with it: whatever its server says later, this is what it is."""

    server: str
    tool: str
    says: str
    schema: JsonObject
    risk: Risk
    digest: str

    @property
    def name(self) -> str:
        return f"{PREFIX}{self.server}.{self.tool}"

    def to_json(self) -> JsonObject:
        return {
            "server": self.server,
            "tool": self.tool,
            "says": self.says,
            "schema": self.schema,
            "risk": self.risk.value,
            "digest": self.digest,
        }

    @classmethod
    def of(cls, given: Mapping[str, JsonValue]) -> "Pinned":
        schema = given.get("schema")
        return cls(
            str(given["server"]),
            str(given["tool"]),
            str(given.get("says", "")),
            schema if isinstance(schema, dict) else {},
            Risk(str(given["risk"])),
            str(given["digest"]),
        )


def clean(text: str, most: int = LONGEST_SAY) -> str:
    """A server's words: bounded, printable, and unable to speak for anybody."""
    seen = "".join(one if one.isprintable() or one == "\n" else " " for one in plain_text(text))
    return bounded(without_control_tokens(seen).strip(), most)


_KEPT = ("minimum", "maximum", "minItems", "maxItems", "minLength", "maxLength")
_TYPES = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})


def tidied(schema: Mapping[str, Any]) -> JsonObject:
    """What an engine and a check may know of a schema: no patterns, which could take for ever, nothing elsewhere."""
    found = _tidied(schema, schema, 0)
    return {**found, "type": "object", "properties": found.get("properties", {})}


def _tidied(schema: Any, root: Mapping[str, Any], level: int) -> JsonObject:
    if not isinstance(schema, dict) or level > DEEPEST:
        return {}
    if "$ref" in schema:
        return _tidied(_local(schema["$ref"], root), root, level + 1)
    found: JsonObject = {key: schema[key] for key in _KEPT if isinstance(schema.get(key), int | float)}
    kind = schema.get("type")
    kinds: list[JsonValue] = [one for one in (kind if isinstance(kind, list) else [kind]) if one in _TYPES]
    if kinds:
        found["type"] = kinds[0] if len(kinds) == 1 else kinds
    if isinstance(schema.get("description"), str):
        found["description"] = clean(schema["description"], 300)
    if isinstance(schema.get("enum"), list):
        found["enum"] = [one for one in schema["enum"][:100] if isinstance(one, str | int | float | bool)]
    if isinstance(schema.get("properties"), dict):
        found |= _properties(schema, root, level)
    if isinstance(schema.get("items"), dict):
        found["items"] = _tidied(schema["items"], root, level + 1)
    for word in ("anyOf", "oneOf"):
        if isinstance(schema.get(word), list):
            found["anyOf"] = [_tidied(one, root, level + 1) for one in schema[word][:20]]
    if schema.get("additionalProperties") is False:
        found["additionalProperties"] = False
    return found


def _properties(schema: Mapping[str, Any], root: Mapping[str, Any], level: int) -> JsonObject:
    kept: JsonObject = {
        plain_text(name)[:100]: _tidied(one, root, level + 1)
        for name, one in list(schema["properties"].items())[:MOST_PROPERTIES]
    }
    needed = schema.get("required")
    wanted: list[JsonValue] = [one for one in needed if one in kept] if isinstance(needed, list) else []
    return {"properties": kept, "required": wanted}


def _local(reference: Any, root: Mapping[str, Any]) -> Any:
    """What a reference within the same schema is about; nothing for one to elsewhere."""
    parts = str(reference).split("/")
    if parts[0] != "#" or len(parts) > 6:
        return {}
    found: Any = root
    for part in parts[1:]:
        found = found.get(part) if isinstance(found, dict) else None
    return found
