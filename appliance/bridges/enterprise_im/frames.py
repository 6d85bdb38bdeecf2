"""Frames of the long connection: ``pbbp2.Frame`` in Protocol Buffers' wire format, read strictly and without a library.

The fields are those of the platform's own clients (github.com/larksuite/oapi-sdk-go, ws/pbbp2.pb.go)::

    SeqID=1 LogID=2 (uint64)  service=3 method=4 (int32)  headers=5 {key=1 value=2}
    payload_encoding=6 payload_type=7 (string)  payload=8 (bytes)  LogIDNew=9 (string)
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

CONTROL, DATA = 0, 1
LARGEST = 4_000_000
MOST_HEADERS = 64
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_TEXTS = {6: "payload_encoding", 7: "payload_type", 9: "log_id_new"}


class FrameInvalid(ValueError):
    """Bytes that are no such frame."""


@dataclass(frozen=True, slots=True)
class Frame:
    """``method`` is CONTROL or DATA. A header's name may come twice; the first one counts."""

    seq_id: int = 0
    log_id: int = 0
    service: int = 0
    method: int = CONTROL
    headers: tuple[tuple[str, str], ...] = ()
    payload_encoding: str = ""
    payload_type: str = ""
    payload: bytes = b""
    log_id_new: str = ""

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name), "")

    def number(self, name: str, otherwise: int) -> int:
        """A header as a number without a sign; ``otherwise`` where there is none. Raises FrameInvalid."""
        given = self.header(name)
        if not given:
            return otherwise
        if not given.isascii() or not given.isdecimal() or len(given) > 9:
            raise FrameInvalid(f"the header {name} is not a number")
        return int(given)


def encode(frame: Frame) -> bytes:
    """As the platform's clients write it: the numbers always, in the order of the fields."""
    parts = [_number(1, frame.seq_id), _number(2, frame.log_id)]
    parts += [_number(3, frame.service), _number(4, frame.method)]
    for key, value in frame.headers:
        parts.append(_bytes(5, _bytes(1, key.encode()) + _bytes(2, value.encode())))
    parts += [_bytes(6, frame.payload_encoding.encode()), _bytes(7, frame.payload_type.encode())]
    parts += [_bytes(8, frame.payload), _bytes(9, frame.log_id_new.encode())]
    return b"".join(parts)


def decode(data: bytes) -> Frame:
    """Raises FrameInvalid. Fields that are not known are passed over, as the wire format wants it."""
    if len(data) > LARGEST:
        raise FrameInvalid("too large")
    numbers: dict[int, int] = {}
    texts: dict[str, str] = {}
    headers: list[tuple[str, str]] = []
    payload = b""
    for field, value in _fields(data):
        match field, value:
            case ((1 | 2 | 3 | 4), int()):
                numbers[field] = value
            case 5, bytes():
                headers.append(_header(value))
            case 8, bytes():
                payload = value
            case ((6 | 7 | 9), bytes()):
                texts[_TEXTS[field]] = _text(value)
            case ((1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9), _):
                raise FrameInvalid(f"field {field} has another type")
    if numbers.keys() != {1, 2, 3, 4}:
        raise FrameInvalid("a required field is missing")
    if len(headers) > MOST_HEADERS:
        raise FrameInvalid("too many headers")
    return Frame(
        numbers[1],
        numbers[2],
        _signed(numbers[3]),
        _signed(numbers[4]),
        tuple(headers),
        payload=payload,
        **texts,
    )


def _header(data: bytes) -> tuple[str, str]:
    found: dict[int, str] = {}
    for field, value in _fields(data):
        if field in (1, 2):
            if not isinstance(value, bytes):
                raise FrameInvalid("a header has another type")
            found[field] = _text(value)
    if found.keys() != {1, 2}:
        raise FrameInvalid("a header without a name or a value")
    return found[1], found[2]


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes | None]]:
    """Each field's number and its value; None for one of a fixed width, which no field here has."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        field, kind = tag >> 3, tag & 7
        if not 1 <= field < 1 << 29:
            raise FrameInvalid("no such field")
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield field, value
        elif kind == _BYTES:
            length, at = _varint(data, at)
            yield field, _cut(data, at, length)
            at += length
        elif kind in (_FIXED64, _FIXED32):
            width = 8 if kind == _FIXED64 else 4
            _cut(data, at, width)
            at += width
            yield field, None
        else:
            raise FrameInvalid("a kind of field that is not used any more")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at a place, at most 64 bits, and the place after it."""
    value = 0
    for index in range(10):
        if at + index >= len(data):
            raise FrameInvalid("cut off")
        byte = data[at + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            if value >= 1 << 64:
                break
            return value, at + index + 1
    raise FrameInvalid("a number is too large")


def _cut(data: bytes, at: int, length: int) -> bytes:
    if length > len(data) - at:
        raise FrameInvalid("cut off")
    return data[at : at + length]


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise FrameInvalid("a text is not UTF-8") from error


def _signed(value: int) -> int:
    """An int32, whose negative numbers are written as 64 bits."""
    low = value & 0xFFFFFFFF
    return low - (1 << 32) if low >= 1 << 31 else low


def _number(field: int, value: int) -> bytes:
    return _packed(field << 3 | _VARINT) + _packed(value & (1 << 64) - 1)


def _bytes(field: int, value: bytes) -> bytes:
    return _packed(field << 3 | _BYTES) + _packed(len(value)) + value


def _packed(value: int) -> bytes:
    digits = bytearray()
    while value >= 0x80:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    return bytes(digits)


class Assembly:
    """Joins a message's parts. Few messages at a time and no large ones: the oldest unfinished one gives way."""

    def __init__(self, most: int = 32, most_parts: int = 512, largest: int = LARGEST) -> None:
        self._most, self._most_parts, self._largest = most, most_parts, largest
        self._open: dict[str, list[bytes | None]] = {}

    def add(self, frame: Frame) -> bytes | None:
        """The whole payload once its last part is there, in whatever order they came. Raises FrameInvalid."""
        total, index = frame.number("sum", 1), frame.number("seq", 0)
        if total <= 1:
            return frame.payload
        name = frame.header("message_id")
        if not name or index >= total or total > self._most_parts:
            raise FrameInvalid("a part that belongs to nothing")
        parts = self._open.pop(name, None)
        if parts is None or len(parts) != total:
            parts = [None] * total
        parts[index] = frame.payload
        if sum(len(part) for part in parts if part) > self._largest:
            raise FrameInvalid("too large")
        if None not in parts:
            return b"".join(_present(parts))
        self._open[name] = parts
        while len(self._open) > self._most:
            del self._open[next(iter(self._open))]
        return None


def _present(parts: Sequence[bytes | None]) -> Iterator[bytes]:
    return (part for part in parts if part is not None)
