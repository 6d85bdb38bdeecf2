"""One talk with a server of tools: what it offers, and at most one call."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from appliance.agent.loop.outside import bounded
from appliance.agent.mcp.client.cleaning import clean
from appliance.agent.mcp.client.domain import ToolSeen
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.lib.plain import plain

LONGEST_ANSWER = 64_000
"""Characters of what a call gives."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A call of the tool that has this digest, and of no other."""

    tool: str
    arguments: JsonObject
    digest: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call gave: text from outside. ``failed``: the server says that it did not work."""

    output: JsonValue
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Talked:
    """``answer`` is None where nothing was called: nothing was wanted, or the tool is another one now."""

    tools: tuple[ToolSeen, ...]
    answer: Answer | None = None


class Talk(Protocol):
    """How a server is talked to."""

    async def __call__(self, secret: str, wanted: Wanted | None, seconds: float) -> Talked:
        """Raises McpAway (nothing was called), McpRefused (nor will it be), McpUnclear (it may have been)."""
        ...


def seen(name: Any, description: Any, schema: Any, hints: Any) -> ToolSeen:
    known: Mapping[str, Any] = hints if isinstance(hints, dict) else {}
    return ToolSeen.of(str(name), str(description or ""), schema, known)


def answer_of(content: list[JsonObject], structured: JsonValue, failed: bool) -> Answer:
    """The blocks of a result as one text, or its structure where it has one and is short enough."""
    whole = plain(structured)
    if whole is not None and not failed and len(json.dumps(whole)) <= LONGEST_ANSWER:
        return Answer(_without_tokens(whole))
    text = "\n".join(_block(one) for one in content)
    if not text and whole is not None:
        text = json.dumps(whole, ensure_ascii=False)
    return Answer(clean(text, LONGEST_ANSWER), failed)


def _block(block: JsonObject) -> str:
    match block.get("type"):
        case "text":
            return str(block.get("text", ""))
        case "image" | "audio":
            size = len(str(block.get("data", ""))) * 3 // 4
            return f"[{block['type']}, {str(block.get('mimeType', ''))[:60]}, {size:,} bytes: not kept]"
        case "resource":
            resource = block.get("resource")
            inner = resource if isinstance(resource, dict) else {}
            return str(inner.get("text") or f"[resource {str(inner.get('uri', ''))[:200]}: not kept]")
        case "resource_link":
            return f"[link {bounded(str(block.get('uri', '')), 200)}]"
    return ""


def _without_tokens(value: JsonValue) -> JsonValue:
    if isinstance(value, str):
        return clean(value, LONGEST_ANSWER)
    if isinstance(value, list):
        return [_without_tokens(one) for one in value]
    if isinstance(value, dict):
        return {clean(key, 200): _without_tokens(one) for key, one in value.items()}
    return value
