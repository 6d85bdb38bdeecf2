"""The way to an engine: one pool of connections, and answers as the bytes that come."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import httpcore

from appliance.inference.leases import Granted
from appliance.lib.jsontypes import JsonObject

CONNECT = 5.0
SILENCE = 600.0
"""Seconds between two pieces. The keeper ends an engine that stands still long before; this is for one of afar."""
_REST = 3.0
"""Seconds that a connection is kept for the next request; engines hang up after five."""
_LONGEST_REFUSAL = 64 << 10
_BROKEN = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException)


class EngineBroken(Exception):
    """The engine, or the way to it, failed: no fault of the request."""


@dataclass(frozen=True, slots=True)
class Reply:
    """``pieces`` raises EngineBroken where the connection breaks before the end of the answer."""

    status: int
    pieces: AsyncIterator[bytes]

    async def refusal(self) -> bytes:
        """The beginning of a body that says what was wrong."""
        found = b""
        async for piece in self.pieces:
            found += piece
            if len(found) >= _LONGEST_REFUSAL:
                break
        return found[:_LONGEST_REFUSAL]


class Engines:
    """Its pool belongs to the event loop that first uses it."""

    def __init__(self) -> None:
        self._pool: httpcore.AsyncConnectionPool | None = None

    async def post(self, stack: AsyncExitStack, granted: Granted, path: str, body: JsonObject) -> Reply:
        """The beginning of an answer. Leaving ``stack`` hangs up, by which engines stop. Raises EngineBroken."""
        if self._pool is None:
            self._pool = httpcore.AsyncConnectionPool(max_connections=None, keepalive_expiry=_REST)
        headers = [(b"Content-Type", b"application/json"), (b"Accept-Encoding", b"identity")]
        if granted.key:
            headers.append((b"Authorization", f"Bearer {granted.key}".encode()))
        timeout = {"connect": CONNECT, "read": SILENCE, "write": 30.0, "pool": CONNECT}
        opened = self._pool.stream(
            "POST",
            f"{granted.url}{path}",
            headers=headers,
            content=json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"),
            extensions={"timeout": timeout},
        )
        try:
            response = await stack.enter_async_context(opened)
        except _BROKEN as error:
            raise EngineBroken(_why(error)) from error
        return Reply(response.status, _pieces(response))

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.aclose()
            self._pool = None


async def _pieces(response: httpcore.Response) -> AsyncIterator[bytes]:
    try:
        async for piece in response.aiter_stream():
            yield piece
    except _BROKEN as error:
        raise EngineBroken(_why(error)) from error


def _why(error: Exception) -> str:
    if isinstance(error, httpcore.ConnectError | httpcore.ConnectTimeout):
        return "the engine takes no connection"
    if isinstance(error, httpcore.TimeoutException):
        return "the engine stands still"
    return "the engine broke off"
