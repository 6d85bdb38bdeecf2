"""Frames on a socket, read and written from an event loop."""

import asyncio
import socket

from appliance.sandbox.process import wire

_MAX_FRAME = 64 << 20
_PIECE = 1 << 16


class TooLarge(ConnectionError):
    """A frame that is longer than any that is taken."""


class Conversation:
    """Frames on a socket. Not asyncio's streams: they forget an answer that came before a failed write."""

    def __init__(self, connection: socket.socket, largest: int = _MAX_FRAME) -> None:
        self._connection = connection
        self._largest = largest
        self._buffer = bytearray()

    async def say(self, data: bytes) -> None:
        try:
            await asyncio.get_running_loop().sock_sendall(self._connection, data)
        except ConnectionError:
            return  # turned away unread; the answer that says why can still be heard

    async def hear(self, seconds: float) -> tuple[bytes, bytes]:
        """The next frame. OSError when there is none in time, or no more (TimeoutError, ConnectionError)."""
        async with asyncio.timeout(seconds):
            await self._fill(wire.HEADER.size)
            kind, length = wire.HEADER.unpack_from(self._buffer)
            if length > self._largest:
                raise TooLarge(f"a frame of {length} bytes")
            end = wire.HEADER.size + length
            await self._fill(end)
            payload = bytes(self._buffer[wire.HEADER.size : end])
            del self._buffer[:end]
            return kind, payload

    async def take(self, length: int, seconds: float) -> bytes:
        """The next ``length`` bytes, which stand in no frame. OSError as for ``hear``."""
        async with asyncio.timeout(seconds):
            await self._fill(length)
        taken = bytes(self._buffer[:length])
        del self._buffer[:length]
        return taken

    async def hang_up(self, seconds: float) -> None:
        """Shut our side, which ends the job, and wait until the other shuts: then no process is left."""
        try:
            self._connection.shutdown(socket.SHUT_WR)
            async with asyncio.timeout(seconds):
                while await self._receive():
                    self._buffer.clear()
        except OSError:
            return

    async def _fill(self, size: int) -> None:
        while len(self._buffer) < size:
            if not await self._receive():
                raise ConnectionError("closed in the middle")

    async def _receive(self) -> bool:
        piece = await asyncio.get_running_loop().sock_recv(self._connection, _PIECE)
        self._buffer += piece
        return bool(piece)
