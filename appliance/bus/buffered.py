"""A socket that reads and writes in large pieces, for a library that asks for single bytes.

paho reads a packet with three calls of ``recv`` and writes each packet with one ``send``. Between it and the kernel,
this turns hundreds of small calls into one of each.
"""

import contextlib
import socket
import ssl

from appliance.bus import packets

READ_BYTES = 64 * 1024
"""What is asked of the kernel at once. More than that comes from the system page by page, and goes back at each read:
16 µs instead of 1 for a small message."""
MOST_UNSENT = 256 * 1024
"""Bytes that wait here at most; what comes then stays with paho until the kernel has taken some."""


class BufferedSocket:
    """As much of a non-blocking socket as paho uses, and whole packets for who does not need paho for them.

    What is sent waits for `drain`.
    """

    def __init__(self, raw: socket.socket) -> None:
        self.raw = raw
        self._read, self._at, self._end = bytearray(), 0, 0
        self._unsent = bytearray()
        self.ended = False
        """Whether the other side has said its last."""

    def fill(self) -> bool:
        """Read once from the kernel; whether there is something new: bytes, the end, or an error for ``recv``."""
        try:
            data = self.raw.recv(READ_BYTES)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except OSError:
            self.ended = True
            return True
        del self._read[: self._at]
        self._at = 0
        self._read += data
        self.ended = not data
        return True

    def packet(self) -> tuple[int, bytes] | None:
        """The first packet, if all of it has come: its first byte and its body. It stays until `skip` or ``recv``."""
        found = packets.frame(self._read, self._at)
        if found is None:
            return None
        start, self._end = found
        return self._read[self._at], bytes(self._read[start : self._end])

    def skip(self) -> None:
        """Be done with the packet that `packet` gave."""
        self._at = self._end

    def recv(self, size: int) -> bytes:
        """Up to ``size`` bytes. Raises BlockingIOError or ssl.SSLWantReadError while there are none."""
        if self._at >= len(self._read):
            if self.ended:
                return b""
            self._read, self._at = bytearray(self.raw.recv(READ_BYTES)), 0
        data = bytes(self._read[self._at : self._at + size])
        self._at += len(data)
        return data

    @property
    def pending(self) -> bool:
        """Whether there are bytes that the kernel's readiness no longer tells of."""
        return isinstance(self.raw, ssl.SSLSocket) and self.raw.pending() > 0

    def put(self, data: bytes) -> None:
        """Take ``data`` whatever waits already: whoever sends waits for an answer, and there are only so many."""
        self._unsent += data

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
