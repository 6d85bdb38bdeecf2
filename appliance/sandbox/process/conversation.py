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

    def put_in(self, word: bytes) -> None:
        """Say one byte while the other side speaks. Where it cannot be said, nobody is there to hear it."""
        try:
            self._connection.send(word)
        except OSError:
            return

    async def hear(self, seconds: float) -> tuple[bytes, bytes]:
        """The next frame. OSError when there is none in time, or no more (TimeoutError, ConnectionError).

        One that is there is given also when it is late: this process may have stood still past ``seconds``.
        """
        try:
            async with asyncio.timeout(seconds):
                while (frame := self._frame()) is None:
                    await self._readable()
        except TimeoutError:
            if (frame := self._frame()) is None:
                raise
        return frame

    async def take(self, length: int, seconds: float) -> bytes:
        """The next ``length`` bytes, which stand in no frame. OSError as for ``hear``."""
        try:
            async with asyncio.timeout(seconds):
                while not self._fill(length):
                    await self._readable()
        except TimeoutError:
            if not self._fill(length):
                raise
        return self._cut(length)

    async def hang_up(self, seconds: float) -> None:
        """Shut our side, which ends the job, and wait until the other shuts: then no process is left."""
        try:
            self._connection.shutdown(socket.SHUT_WR)
            async with asyncio.timeout(seconds):
                while True:
                    self._buffer.clear()
                    if not self._fill(1):
                        await self._readable()
        except OSError:
            return

    def say_no_more(self) -> None:
        """Shut our side; the other one can still be heard."""
        try:
            self._connection.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def last_word(self) -> tuple[bytes, bytes] | None:
        """Let nothing more be said by either side; the frame that was said before that, if there is one.

        None means that the other side has said nothing, and will fail when it tries: the kernel sees to both
        at once. What came with the frame can still be heard.
        """
        try:
            self._connection.shutdown(socket.SHUT_RDWR)
            return self._frame()
        except OSError:
            return None

    def _frame(self) -> tuple[bytes, bytes] | None:
        """The next frame, when it has come. ConnectionError when it never will."""
        if not self._fill(wire.HEADER.size):
            return None
        kind, length = wire.HEADER.unpack_from(self._buffer)
        if length > self._largest:
            raise TooLarge(f"a frame of {length} bytes")
        if not self._fill(wire.HEADER.size + length):
            return None
        self._cut(wire.HEADER.size)
        return kind, self._cut(length)

    def _fill(self, size: int) -> bool:
        """Whether so many bytes have come. ConnectionError when they never will."""
        while len(self._buffer) < size:
            try:
                piece = self._connection.recv(_PIECE)
            except BlockingIOError:
                return False
            if not piece:
                raise ConnectionError("closed in the middle")
            self._buffer += piece
        return True

    def _cut(self, length: int) -> bytes:
        taken = bytes(self._buffer[:length])
        del self._buffer[:length]
        return taken

    async def _readable(self) -> None:
        """Wait until there is something to read. Not sock_recv: cancelled late, it forgets what it has read."""
        loop, ready = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._connection, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(self._connection)
