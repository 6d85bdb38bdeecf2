"""HTTP/1.1 to an engine, as little of it as a POST and its answer need.

A library's client costs a millisecond for each request, as much as all else of the gateway together.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

CONNECT = 5.0
SILENCE = 600.0
"""Seconds between two pieces. The keeper ends an engine that stands still long before; this is for one of afar."""
_LARGEST_PIECE = 16 << 20
_BROKEN = (OSError, EOFError, asyncio.LimitOverrunError, ValueError)


class EngineBroken(Exception):
    """The engine, or the way to it, failed: no fault of the request."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an engine listens. ``path`` is what stands before that of its API."""

    host: str
    port: int
    secure: bool
    netloc: str
    path: str

    @classmethod
    def of(cls, url: str) -> "Place":
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        return cls(
            parts.hostname or "", port, secure, parts.netloc.rpartition("@")[2], parts.path.rstrip("/")
        )


class Connection:
    """One connection, for one request after another. ``free``: the last answer came to its end, and it may go on."""

    def __init__(self, place: Place, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.free = True
        self._place = place
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, place: Place, secure: ssl.SSLContext | None) -> "Connection":
        """Raises EngineBroken."""
        try:
            async with asyncio.timeout(CONNECT):
                reader, writer = await asyncio.open_connection(place.host, place.port, ssl=secure)
        except ssl.SSLCertVerificationError as error:
            raise EngineBroken(f"the engine is not who it says: {error.verify_message}") from error
        except OSError as error:
            raise EngineBroken("the engine takes no connection") from error
        return cls(place, reader, writer)

    @property
    def alive(self) -> bool:
        return not self._reader.at_eof() and not self._writer.is_closing()

    def close(self) -> None:
        self._writer.close()

    async def post(self, path: str, key: str, body: bytes) -> tuple[int, AsyncIterator[bytes]]:
        """The answer's status and its pieces. Raises EngineBroken, while the pieces come too."""
        self.free = False
        bearer = f"Authorization: Bearer {key}\r\n" if key else ""
        head = (
            f"POST {self._place.path}{path} HTTP/1.1\r\nHost: {self._place.netloc}\r\n{bearer}"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        try:
            self._writer.write(head.encode("latin-1") + body)
            async with asyncio.timeout(SILENCE):
                await self._writer.drain()
                status, headers = await self._head()
        except _BROKEN as error:
            raise EngineBroken(_why(error)) from error
        return status, self._pieces(headers)

    async def _head(self) -> tuple[int, dict[bytes, bytes]]:
        while True:
            first, *lines = (await self._reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
            if not first.startswith(b"HTTP/1."):
                raise ValueError("this is no HTTP")
            status = int(first[9:12])
            # 1xx is not the answer yet.
            if status >= 200:
                pairs = (line.partition(b":") for line in lines if line)
                return status, {name.lower(): value.strip().lower() for name, _, value in pairs}

    async def _pieces(self, headers: dict[bytes, bytes]) -> AsyncIterator[bytes]:
        goes_on = headers.get(b"connection") != b"close"
        left = int(headers[b"content-length"]) if b"content-length" in headers else None
        try:
            if headers.get(b"transfer-encoding") == b"chunked":
                while piece := await self._within(self._chunk()):
                    yield piece
            elif left is not None:
                while left > 0:
                    piece = await self._within(self._reader.read(min(left, 65536)))
                    if not piece:
                        raise EOFError
                    left -= len(piece)
                    yield piece
            else:
                goes_on = False
                while piece := await self._within(self._reader.read(65536)):
                    yield piece
        except _BROKEN as error:
            raise EngineBroken(_why(error)) from error
        self.free = goes_on

    async def _chunk(self) -> bytes:
        """Empty at the end."""
        size = int((await self._reader.readuntil(b"\r\n")).partition(b";")[0], 16)
        if size > _LARGEST_PIECE:
            raise ValueError(f"a piece of {size} bytes")
        if size:
            return (await self._reader.readexactly(size + 2))[:-2]
        while await self._reader.readuntil(b"\r\n") != b"\r\n":
            pass
        return b""

    async def _within(self, piece: Coroutine[Any, Any, bytes]) -> bytes:
        async with asyncio.timeout(SILENCE):
            return await piece


def _why(error: Exception) -> str:
    return "the engine stands still" if isinstance(error, TimeoutError) else "the engine broke off"
