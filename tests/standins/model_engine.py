"""An engine of models in OpenAI's protocol, which breaks as engines break: streams cut in the middle, errors of several
forms, silence. What it says is what a test puts into ``says``."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Says:
    """One answer. ``pieces`` go out as they are, in chunks of their own; then, where ``ends``, the answer's end, else
    the connection is cut. ``hangs``: it says nothing more until the other side hangs up."""

    pieces: tuple[bytes, ...] = ()
    status: int = 200
    ends: bool = True
    hangs: bool = False
    pause: float = 0.0
    kind: str = "text/event-stream"


def event(chunk: Any) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def chat(*texts: str, usage: bool = True, done: bool = True) -> tuple[bytes, ...]:
    """A whole answer in chunks, as llama.cpp gives it."""
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "engine's"}
    parts = [
        event({**head, "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]})
        for text in texts
    ]
    parts.append(event({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}))
    if usage:
        counts = {"prompt_tokens": 7, "completion_tokens": len(texts), "total_tokens": 7 + len(texts)}
        parts.append(event({**head, "choices": [], "usage": counts}))
    return (*parts, b"data: [DONE]\n\n") if done else tuple(parts)


@dataclass
class EngineStandin:
    """``asked``: the bodies of all requests; ``headers``: theirs. ``left``: how often the other side hung up early."""

    says: list[Says] = field(default_factory=list)
    usual: Says = field(default_factory=lambda: Says(chat("Hel", "lo")))
    asked: list[Any] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    left: int = 0
    connections: int = 0
    url: str = ""
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["EngineStandin"]:
        self._server = server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()

    def die(self) -> None:
        """As by a signal: in the middle of all answers, and nobody listens any more."""
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while await self._answer(reader, writer):
                pass
        self._writers.discard(writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request; gives whether the connection goes on."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.paths.append(head[0].split(" ")[1])
        self.headers.append(headers)
        self.asked.append(json.loads(body) if body else None)
        says = self.says.pop(0) if self.says else self.usual
        if says.status == 0:
            return False
        writer.write(
            f"HTTP/1.1 {says.status} OK\r\nContent-Type: {says.kind}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        for piece in says.pieces:
            if says.pause and await self._left(reader, says.pause):
                return False
            writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            await writer.drain()
        if says.hangs and await self._left(reader, 60):
            return False
        if says.ends:
            writer.write(b"0\r\n\r\n")
        await writer.drain()
        return says.ends

    async def _left(self, reader: asyncio.StreamReader, seconds: float) -> bool:
        """Whether the other side hangs up within ``seconds``."""
        try:
            async with asyncio.timeout(seconds):
                gone = await reader.read(1) == b""
        except TimeoutError:
            return False
        self.left += gone
        return gone
