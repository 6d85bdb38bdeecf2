"""A socket that reads and writes in large pieces, for a library that asks for single bytes.

paho reads a packet with three calls of ``recv`` and writes each packet with one ``send``. Between it and the kernel,
this turns hundreds of small calls into one of each.
"""

import contextlib
import socket
import ssl

READ_BYTES = 256 * 1024
MOST_UNSENT = 256 * 1024
"""Bytes that wait here at most; what comes then stays with paho until the kernel has taken some."""


class BufferedSocket:
    """As much of a non-blocking socket as paho uses. What is sent waits for `drain`."""

    def __init__(self, raw: socket.socket) -> None:
        self.raw = raw
        self._read, self._at = b"", 0
        self._unsent = bytearray()

    def recv(self, size: int) -> bytes:
        """Up to ``size`` bytes. Raises BlockingIOError or ssl.SSLWantReadError while there are none."""
        if self._at >= len(self._read):
            self._read, self._at = self.raw.recv(READ_BYTES), 0
        data = self._read[self._at : self._at + size]
        self._at += len(data)
        return data

    @property
    def pending(self) -> bool:
        """Whether ``recv`` has bytes that the kernel's readiness no longer tells of."""
        if self._at < len(self._read):
            return True
        return isinstance(self.raw, ssl.SSLSocket) and self.raw.pending() > 0

    def send(self, data: bytes | bytearray) -> int:
        """Take all of ``data``. Raises BlockingIOError when too much waits already."""
        if len(self._unsent) >= MOST_UNSENT:
            raise BlockingIOError
        self._unsent += data
        return len(data)

    def drain(self) -> bool:
        """Hand what waits to the kernel; whether it took all. Raises OSError when the connection has ended."""
        try:
            while self._unsent:
                del self._unsent[: self.raw.send(self._unsent)]
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        return True

    def setblocking(self, flag: bool) -> None:
        self.raw.setblocking(flag)

    def fileno(self) -> int:
        return self.raw.fileno()

    def close(self) -> None:
        """Close, after one try to send what waits: a DISCONNECT is the last thing that paho writes."""
        with contextlib.suppress(OSError, ValueError):
            self.drain()
        self.raw.close()
