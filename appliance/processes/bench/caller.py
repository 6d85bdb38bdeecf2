"""The client of the measurements of models."""

import asyncio
import json
import time
from urllib.parse import urlsplit

from appliance.processes.bench.talker import MODEL


class Caller:
    """On one connection, with as little work as can be: what it takes itself is in every figure."""

    def __init__(self, place: str, token: str) -> None:
        self._place = urlsplit(place)
        self._token = token

    async def __aenter__(self) -> "Caller":
        self._reader, self._writer = await asyncio.open_connection(self._place.hostname, self._place.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def whole(self) -> None:
        self._ask(1, stream=False)
        head = await self._head()
        length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
        if length:
            await self._reader.readexactly(int(length))
        else:
            await self._reader.readuntil(b"0\r\n\r\n")

    async def pieces(self, count: int) -> list[float]:
        self._ask(count, stream=True)
        await self._head()
        late = []
        async for line in self._reader:
            if line.startswith(b"data: {"):
                said = (json.loads(line[6:])["choices"] or [{"delta": {}}])[0]["delta"].get("content")
                if said:
                    late.append((time.monotonic_ns() - int(said)) / 1e6)
            elif line.startswith(b"data: [DONE]"):
                break
        if len(late) != count:
            raise RuntimeError(f"{len(late)} pieces of {count} came")
        return late

    def _ask(self, tokens: int, *, stream: bool) -> None:
        body = json.dumps(
            {
                "model": MODEL,
                "messages": [{"role": "user", "content": "what time is it?"}],
                "max_tokens": tokens,
                "stream": stream,
            }
        ).encode()
        self._writer.write(
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: box\r\nAuthorization: Bearer {self._token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )

    async def _head(self) -> bytes:
        head = await self._reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n")[0]:
            raise RuntimeError(f"the box answered {head.splitlines()[0]!r}")
        return head
