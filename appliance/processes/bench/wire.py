"""A very small MQTT 3.1.1 client for measuring: precomputed packets over one socket, no library in between.

paho needs about 60 µs of processor time for a message in and out. On two cores that also carry what is
measured, the load generator must cost less than that. Source: MQTT 3.1.1, sections 2 and 3.
"""

import select
import socket
import struct
from collections.abc import Iterator

PUBLISH, PUBACK = 0x30, 0x40


def _length(number: int) -> bytes:
    out = bytearray()
    while True:
        number, digit = divmod(number, 128)
        out.append(digit | 0x80 if number else digit)
        if not number:
            return bytes(out)


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack(">H", len(data)) + data


def _packet(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + _length(len(body)) + body


class Wire:
    """One connection, QoS 1 both ways. ``send`` never blocks; ``receive`` gives what has come."""

    def __init__(self, host: str, port: int, user: str, password: str, client_id: str) -> None:
        self._socket = socket.create_connection((host, port), 10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        flags = 0x02 | (0xC0 if user else 0)
        body = _text("MQTT") + bytes([4, flags]) + struct.pack(">H", 60) + _text(client_id)
        if user:
            body += _text(user) + _text(password)
        self._out, self._in = bytearray(_packet(0x10, body)), bytearray()
        self._mid = 0
        self.acknowledged = 0
        try:
            self._wait_for(0x20)
        except BaseException:
            self._socket.close()
            raise
        self._socket.setblocking(False)

    def _wait_for(self, kind: int) -> None:
        self._socket.setblocking(True)
        self._socket.sendall(self._out)
        self._out.clear()
        while not self._in or self._in[0] & 0xF0 != kind:
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionError("the broker closed the connection")
            self._in += data
        if kind == 0x20 and len(self._in) >= 4 and self._in[3]:
            raise ConnectionError(f"the broker refused the log-in ({self._in[3]})")
        self._in.clear()

    def subscribe(self, topic: str) -> None:
        self._out += _packet(0x82, struct.pack(">H", 1) + _text(topic) + b"\x01")
        self._wait_for(0x90)
        self._socket.setblocking(False)

    def publish(self, topic: str, payload: bytes) -> None:
        """Put a message into the buffer; ``pump`` sends it."""
        self._mid = self._mid % 65535 + 1
        body = _text(topic) + struct.pack(">H", self._mid) + payload
        self._out += _packet(PUBLISH | 0x02, body)

    def pump(self, timeout: float) -> None:
        """Send what waits, read what has come, or return after ``timeout`` seconds."""
        readable, writable, _ = select.select(
            [self._socket], [self._socket] if self._out else [], [], timeout
        )
        if writable:
            try:
                sent = self._socket.send(self._out)
            except BlockingIOError:
                sent = 0
            del self._out[:sent]
        if readable:
            data = self._socket.recv(1 << 18)
            if not data:
                raise ConnectionError("the broker closed the connection")
            self._in += data

    def messages(self) -> Iterator[bytes]:
        """The payloads that have come; each is acknowledged with the next ``pump``."""
        buffer, place, size = self._in, 0, len(self._in)
        while place + 2 <= size:
            length, shift, at = 0, 0, place + 1
            while at < size:
                digit = buffer[at]
                at += 1
                length |= (digit & 0x7F) << shift
                shift += 7
                if not digit & 0x80:
                    break
            else:
                break
            if at + length > size:
                break
            kind = buffer[place] & 0xF0
            if kind == PUBLISH:
                start = at + 2 + (buffer[at] << 8 | buffer[at + 1])
                if buffer[place] & 0x06:
                    self._out += b"\x40\x02" + buffer[start : start + 2]
                    start += 2
                yield bytes(buffer[start : at + length])
            elif kind == PUBACK:
                self.acknowledged += 1
            place = at + length
        del buffer[:place]

    def close(self) -> None:
        self._socket.setblocking(True)
        self._socket.sendall(self._out + b"\xe0\x00")
        self._socket.close()
