"""An engine to be tested, in OpenAI's protocol: it answers well, until a test says how it misbehaves."""

import asyncio
import contextlib
import json
import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.standins.model_engine import event

Body = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """``text`` goes out word by word. ``finish`` empty: none is said. ``tokens``: as it counts; None: as it came."""

    text: str = "It looks after the machines."
    finish: str = "stop"
    tokens: int | None = None
    status: int = 200
    thought: str = ""
    cut: bool = False
    """The connection breaks in the middle."""
    usage: bool | Body = True
    """How many tokens it counts; False: it says nothing of that."""
    pings: bytes = b""
    """Instead of an answer this comes, again and again."""


def fitting(schema: Body) -> Any:
    """A value that fits a schema of the few kinds that the tests use."""
    if "anyOf" in schema:
        return fitting(schema["anyOf"][0])
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "object")
    if kind == "object":
        return {name: fitting(one) for name, one in schema.get("properties", {}).items()}
    if kind == "array":
        return [fitting(schema["items"])]
    return {"string": "all is well", "integer": 7, "number": 7.5, "boolean": True}[kind]


@dataclass
class TestedEngine:
    """A word is a token. ``misbehaves`` gives what it says instead; None: what is right."""

    __test__ = False
    context: int = 1024
    misbehaves: Callable[[Body], Answer | None] = lambda body: None
    vectors: Callable[[str], list[Any]] | None = None
    asked: list[Body] = field(default_factory=list)
    url: str = ""
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    """Cleared, everybody waits for an answer."""

    def __post_init__(self) -> None:
        self.hold.set()

    @asynccontextmanager
    async def serving(self, secure: ssl.SSLContext | None = None) -> AsyncIterator["TestedEngine"]:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=secure)
        scheme = "https" if secure else "http"
        self.url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            found = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
            body = json.loads(await reader.readexactly(int(found[1]) if found else 0))
            self.asked.append(body)
            await self.hold.wait()
            if "/v1/embeddings" in head:
                self._embed(body, writer)
            else:
                await self._answer(body, self.misbehaves(body) or self._right(body), writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # whoever has heard enough hangs up
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    def _right(self, body: Body) -> Answer:
        if prompt_tokens(body) + body["max_tokens"] > self.context:
            said = {"error": {"message": f"the request exceeds the context of {self.context} tokens"}}
            return Answer(json.dumps(said), status=400)
        form = body.get("response_format")
        text = json.dumps(fitting((form.get("json_schema") or form)["schema"])) if form else Answer().text
        words = text.split(" ")
        if len(words) > body["max_tokens"]:
            return Answer(" ".join(words[: body["max_tokens"]]), "length")
        return Answer(text)

    async def _answer(self, body: Body, answer: Answer, writer: asyncio.StreamWriter) -> None:
        if answer.status != 200:
            self._whole(answer.status, answer.text.encode(), writer)
            return
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n")
        # Without a length or chunks a cut could not be told from an end.
        writer.write(b"Transfer-Encoding: chunked\r\n\r\n")

        def put(data: bytes) -> None:
            writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

        while answer.pings:
            put(answer.pings)
            await writer.drain()
            await asyncio.sleep(0.01)
        words = re.findall(r"\S*\s*", answer.text)
        words = [word for word in words if word]
        if answer.thought:
            put(event({"choices": [{"delta": {"reasoning_content": answer.thought}}]}))
        for word in words:
            put(event({"choices": [{"delta": {"content": word}, "finish_reason": None}]}))
            await writer.drain()
        if answer.cut:
            return
        put(event({"choices": [{"delta": {}, "finish_reason": answer.finish or None}]}))
        if answer.usage:
            counted = len(words) if answer.tokens is None else answer.tokens
            usage = {"prompt_tokens": prompt_tokens(body), "completion_tokens": counted}
            put(event({"choices": [], "usage": usage if answer.usage is True else answer.usage}))
        put(b"data: [DONE]\n\n")
        writer.write(b"0\r\n\r\n")

    def _embed(self, body: Body, writer: asyncio.StreamWriter) -> None:
        embed = self.vectors or letters
        rows = [{"index": at, "embedding": embed(text)} for at, text in enumerate(body["input"])]
        self._whole(200, json.dumps({"data": rows[::-1]}).encode(), writer)

    def _whole(self, status: int, content: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {status} OK\r\nContent-Length: {len(content)}\r\n\r\n".encode() + content)


def prompt_tokens(body: Body) -> int:
    return 3 + sum(len(one["content"].split()) for one in body["messages"])


def letters(text: str) -> list[Any]:
    """How often each letter stands in a text."""
    return [text.casefold().count(chr(code)) + 0.01 for code in range(ord("a"), ord("z") + 1)]
