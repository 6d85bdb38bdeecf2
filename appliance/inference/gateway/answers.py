"""How an answer goes out: piece by piece, or whole. One of these for each request."""

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from appliance.inference.gateway import sse
from appliance.inference.gateway.assembling import as_base64, assemble_chat, assemble_text
from appliance.inference.gateway.errors import ApiError
from appliance.inference.gateway.opening import Opened
from appliance.inference.leases import Chosen
from appliance.lib.jsontypes import JsonObject

Send = Callable[[dict[str, Any]], Awaitable[None]]
_ALWAYS = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]
_JSON = (b"content-type", b"application/json")
_STREAM = (b"content-type", b"text/event-stream; charset=utf-8")
# Proxies in front of the box would hold pieces back until they have many.
_AT_ONCE = (b"x-accel-buffering", b"no")


class Answer(Protocol):
    """``begun``: whether something went out that cannot be taken back but by breaking off."""

    begun: bool

    async def wait(self, why: str) -> None:
        """The model is not there yet; say so where that can be said."""
        ...

    async def begin(self, opened: Opened) -> None: ...

    async def pieces(self, events: Sequence[bytes]) -> None: ...

    async def end(self, usage: JsonObject) -> None: ...

    async def fail(self, error: ApiError) -> None: ...


class Streamed:
    """The engine's own events. Tools that were forced by a schema come in one piece at the end."""

    def __init__(self, send: Send, *, keep_usage: bool) -> None:
        self.begun = False
        self._send = send
        self._keep_usage = keep_usage
        self._opened: Opened | None = None
        self._kept: list[bytes] = []

    async def wait(self, why: str) -> None:
        await self._start([])
        await self._body(sse.comment(why))

    async def begin(self, opened: Opened) -> None:
        self._opened = opened
        if self.begun:
            await self._body(sse.comment("; ".join(_named(opened.chosen).values())))
        else:
            await self._start(_headers_of(opened.chosen))

    async def pieces(self, events: Sequence[bytes]) -> None:
        if self._opened is not None and self._opened.forced is not None:
            self._kept.extend(events)
        else:
            await self._body(b"".join(events))

    async def end(self, usage: JsonObject) -> None:
        if self._kept:
            await self._body(self._as_call(usage))
        await self._send({"type": "http.response.body", "body": b""})

    async def fail(self, error: ApiError) -> None:
        if self.begun:
            await self._send({"type": "http.response.body", "body": b"data: " + error.body + b"\n\n"})
        else:
            await send_error(self._send, error)

    def _as_call(self, usage: JsonObject) -> bytes:
        assert self._opened is not None
        chunks = [chunk for one in self._kept if (chunk := sse.read(one))]
        whole: Any = assemble_chat(chunks, usage, self._opened.forced)
        choice = whole["choices"][0]
        head: JsonObject = {name: whole[name] for name in ("id", "created", "model") if name in whole}
        head["object"] = "chat.completion.chunk"
        delta = dict(choice["message"])
        if delta.get("tool_calls"):
            delta["tool_calls"] = [{"index": number, **one} for number, one in enumerate(delta["tool_calls"])]
        parts: list[JsonObject] = [
            {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
            {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]},
        ]
        if self._keep_usage:
            parts.append({**head, "choices": [], "usage": usage})
        return b"".join(map(sse.write, parts)) + sse.END

    async def _start(self, headers: list[tuple[bytes, bytes]]) -> None:
        if not self.begun:
            self.begun = True
            headers = [_STREAM, _AT_ONCE, *_ALWAYS, *headers]
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def _body(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})


class Whole:
    """One JSON object. ``path`` says of which kind."""

    def __init__(self, send: Send, path: str, *, base64: bool = False) -> None:
        self.begun = False
        self._send = send
        self._path = path
        self._base64 = base64
        self._opened: Opened | None = None
        self._kept: list[bytes] = []

    async def wait(self, why: str) -> None:
        """Nothing can be said before the status."""

    async def begin(self, opened: Opened) -> None:
        self._opened = opened

    async def pieces(self, events: Sequence[bytes]) -> None:
        self._kept.extend(events)

    async def end(self, usage: JsonObject) -> None:
        assert self._opened is not None
        body = self._whole(usage, self._opened)
        await send_json(self._send, 200, body, _headers_of(self._opened.chosen))

    async def fail(self, error: ApiError) -> None:
        await send_error(self._send, error)

    def _whole(self, usage: JsonObject, opened: Opened) -> bytes:
        if self._path == "/v1/embeddings":
            return self._vectors()
        chunks = [chunk for one in self._kept if (chunk := sse.read(one))]
        if self._path == "/v1/completions":
            return json.dumps(assemble_text(chunks, usage), ensure_ascii=False).encode()
        return json.dumps(assemble_chat(chunks, usage, opened.forced), ensure_ascii=False).encode()

    def _vectors(self) -> bytes:
        body = b"".join(self._kept)
        if not self._base64:
            return body
        answer = json.loads(body)
        as_base64(answer)
        return json.dumps(answer).encode()


async def send_json(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    length = (b"content-length", str(len(body)).encode())
    start = {"type": "http.response.start", "status": status, "headers": [_JSON, length, *_ALWAYS, *headers]}
    await send(start)
    await send({"type": "http.response.body", "body": body})


async def send_error(send: Send, error: ApiError) -> None:
    headers = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in error.headers]
    await send_json(send, error.status, error.body, headers)


def _named(chosen: Chosen) -> dict[str, str]:
    return {
        "x-millwright-model": f"{chosen.model}@{chosen.version}",
        "x-millwright-digest": chosen.digest,
        "x-millwright-reason": " ".join(chosen.reason.split()),
    }


def _headers_of(chosen: Chosen) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode("latin-1", "replace")) for name, value in _named(chosen).items()]
