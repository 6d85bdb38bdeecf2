"""PUBLISH and PUBACK, the packets that a busy connection consists of, without paho's objects, locks and queues.

Everything else is left to paho: log-in, subscriptions, keepalive, and what does not follow the protocol.
Source: MQTT 3.1.1, sections 2.2, 3.3 and 3.4.
"""

import struct
from typing import NamedTuple

PUBLISH, PUBACK = 0x30, 0x40
_LONGEST_LENGTH = 4
_DUP, _QOS_2, _QOS_1, _RETAIN = 0x08, 0x04, 0x02, 0x01
_NUMBER = struct.Struct(">H")


class Incoming(NamedTuple):
    """A message from the network. ``topic`` is None where it is not UTF-8; ``mid`` is 0 with QoS 0."""

    topic: str | None
    payload: bytes
    qos: int
    retain: bool
    dup: bool
    mid: int


def frame(buffer: bytes | bytearray, at: int) -> tuple[int, int] | None:
    """Where the body of the packet at ``at`` begins and ends; None where not all of it is there.

    A length that is none gives an empty body: paho knows how to end such a connection.
    """
    length = 0
    for place in range(_LONGEST_LENGTH):
        if at + 1 + place >= len(buffer):
            return None
        digit = buffer[at + 1 + place]
        length |= (digit & 0x7F) << 7 * place
        if not digit & 0x80:
            start = at + 2 + place
            return (start, start + length) if start + length <= len(buffer) else None
    return at, at


def read_publish(head: int, body: bytes) -> Incoming | None:
    """The message of a PUBLISH; None where it is for paho: QoS 2, or against the protocol."""
    if head & _QOS_2 or len(body) < 2:
        return None
    end = 2 + _NUMBER.unpack_from(body)[0]
    start = end + 2 if head & _QOS_1 else end
    if start > len(body):
        return None
    mid = _NUMBER.unpack_from(body, end)[0] if head & _QOS_1 else 0
    try:
        topic = body[2:end].decode()
    except UnicodeDecodeError:
        topic = None
    return Incoming(topic, body[start:], int(bool(mid)), bool(head & _RETAIN), bool(head & _DUP), mid)


def publish(topic: str, payload: bytes, mid: int, *, retain: bool) -> bytes:
    """A PUBLISH with QoS 1, or with QoS 0 where ``mid`` is 0."""
    name = topic.encode()
    number = _NUMBER.pack(mid) if mid else b""
    head = PUBLISH | (_QOS_1 if mid else 0) | (_RETAIN if retain else 0)
    length = _length(2 + len(name) + len(number) + len(payload))
    return b"".join((bytes((head,)), length, _NUMBER.pack(len(name)), name, number, payload))


def puback(mid: int) -> bytes:
    return b"\x40\x02" + _NUMBER.pack(mid)


def _length(number: int) -> bytes:
    digits = bytearray()
    while True:
        number, digit = number >> 7, number & 0x7F
        digits.append(digit | 0x80 if number else digit)
        if not number:
            return bytes(digits)
