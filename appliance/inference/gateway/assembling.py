"""A whole answer out of its pieces, as OpenAI gives it to who did not ask for a stream. Pure."""

import base64
import struct
from collections.abc import Iterable, Mapping
from typing import Any

from appliance.inference.gateway.forced import Forced
from appliance.lib.jsontypes import JsonObject

_HEAD = ("id", "created", "model", "system_fingerprint")
_TEXTS = ("content", "reasoning_content", "refusal")


def assemble_chat(
    chunks: Iterable[Mapping[str, Any]], usage: JsonObject, forced: Forced | None
) -> JsonObject:
    head: JsonObject = {}
    texts: dict[str, list[str]] = {}
    calls: dict[int, dict[str, Any]] = {}
    logprobs: list[Any] = []
    reason: Any = None
    for chunk in chunks:
        head = head or {name: chunk[name] for name in _HEAD if chunk.get(name) is not None}
        for choice in (chunk.get("choices") or ())[:1]:
            reason = choice.get("finish_reason") or reason
            logprobs += (choice.get("logprobs") or {}).get("content") or ()
            delta = choice.get("delta") or {}
            for name in _TEXTS:
                if isinstance(delta.get(name), str):
                    texts.setdefault(name, []).append(delta[name])
            for piece in delta.get("tool_calls") or ():
                _add_call(calls, piece)
    message: dict[str, Any] = {"role": "assistant", "content": None}
    message |= {name: "".join(pieces) for name, pieces in texts.items()}
    if calls:
        message["tool_calls"] = [calls[number] for number in sorted(calls)]
        message["content"] = message["content"] or None
    message, reason = called(message, reason, forced)
    choice_: dict[str, Any] = {"index": 0, "message": message, "finish_reason": reason or "stop"}
    choice_["logprobs"] = {"content": logprobs} if logprobs else None
    return {"object": "chat.completion", **head, "choices": [choice_], "usage": usage}


def called(
    message: dict[str, Any], reason: str | None, forced: Forced | None
) -> tuple[dict[str, Any], str | None]:
    """The message as a tool call, where one was forced by a schema and the answer is whole."""
    call = forced.call(message["content"] or "") if forced else None
    if call is None:
        return message, reason
    return {**message, "content": None, "tool_calls": [call]}, "tool_calls"


def assemble_text(chunks: Iterable[Mapping[str, Any]], usage: JsonObject) -> JsonObject:
    head: JsonObject = {}
    pieces: list[str] = []
    reason: Any = None
    for chunk in chunks:
        head = head or {name: chunk[name] for name in _HEAD if chunk.get(name) is not None}
        for choice in (chunk.get("choices") or ())[:1]:
            pieces.append(choice.get("text") or "")
            reason = choice.get("finish_reason") or reason
    choice_: JsonObject = {
        "index": 0,
        "text": "".join(pieces),
        "finish_reason": reason or "stop",
        "logprobs": None,
    }
    return {"object": "text_completion", **head, "choices": [choice_], "usage": usage}


def as_base64(answer: dict[str, Any]) -> None:
    """Vectors as little-endian 32-bit floats in base64, as OpenAI's own clients ask for them. In place."""
    for one in answer["data"]:
        vector = one["embedding"]
        one["embedding"] = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _add_call(calls: dict[int, dict[str, Any]], piece: Mapping[str, Any]) -> None:
    """The first piece of a call has its id and name, all have some of its arguments."""
    call = calls.setdefault(
        int(piece.get("index") or 0),
        {"id": "", "type": "function", "function": {"name": "", "arguments": ""}},
    )
    call["id"] = piece.get("id") or call["id"]
    function = piece.get("function") or {}
    call["function"]["name"] += function.get("name") or ""
    call["function"]["arguments"] += function.get("arguments") or ""
