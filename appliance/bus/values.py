"""What a payload says: JSON, a number, text, or bytes that only a program understands."""

import json
import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import msgspec

from appliance.bus.places import place_of
from appliance.bus.ports import Message
from appliance.lib.jsontypes import JsonValue

MAX_VALUE_BYTES = 16 * 1024
"""Payloads over this size have a last value without content: `Quality.LARGE`."""
HEAD_BYTES = 512
"""How much of a payload is kept as it came, to be looked at, and to be compared."""


class Quality(StrEnum):
    GOOD = "good"
    """The value is the payload: JSON, or text."""
    BINARY = "binary"
    """Not text; there is no value."""
    LARGE = "large"
    """Too large to keep; there is no value."""


_LONG_NUMBER = re.compile(rb"[0-9]{300}")
"""What Python may refuse to write as text."""
_read_json, _write_json = msgspec.json.Decoder().decode, msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Content:
    """A payload, read once for all who want it. ``document`` is the value as JSON text, or None."""

    document: str | None
    quality: Quality
    value: JsonValue = None
    is_json: bool = False
    """Whether the payload itself is JSON; else the value is its text."""


@dataclass(frozen=True, slots=True)
class TopicValue:
    """What was last seen on a topic. ``topic`` names the broker too, where it is not the own (`places`)."""

    topic: str
    payload: bytes
    at: datetime
    retained: bool = False
    """Whether the broker had kept it, and said it because we subscribed. ``at`` is then not when it was first said."""
    content: Content | None = None
    """What the payload says, where somebody has read it already."""

    @classmethod
    def from_message(cls, message: Message, content: Content | None = None) -> "TopicValue":
        topic = place_of(message.broker, message.topic)
        return cls(topic, message.payload, message.received_at, message.retain, content)


def is_repetition(retained: bool, payload: bytes, before: bytes | None) -> bool:
    """Whether a message only says again what is known, ``before``: it is then as old as that.

    One that is retained and says something else was published nobody knows when: its age is unknown. Byte by
    byte, and only where the whole payload is kept; the function ``bus_remember`` compares alike.
    """
    return retained and payload == before and len(payload) <= HEAD_BYTES


def read_payload(payload: bytes) -> Content:
    """Read a payload; whatever it holds, the result can be stored as JSON in PostgreSQL."""
    if len(payload) > MAX_VALUE_BYTES:
        return Content(None, Quality.LARGE)
    return _read_fast(payload) or _read_slowly(payload)


def _read_fast(payload: bytes) -> Content | None:
    """The payload as JSON; None where there is anything about it that needs a second look."""
    if b"\\u0000" in payload or _LONG_NUMBER.search(payload):
        return None
    try:
        value: JsonValue = _read_json(payload)
        document = _write_json(value).decode()
    except (ValueError, RecursionError):
        return None
    return Content(document, Quality.GOOD, value, True)


def _read_slowly(payload: bytes) -> Content:
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return Content(None, Quality.BINARY)
    if "\x00" in text:
        return Content(None, Quality.BINARY)
    return _as_json(text) or Content(json.dumps(text), Quality.GOOD, text)


def _as_json(text: str) -> Content | None:
    """A JSON payload; None where it is no JSON, or JSON that PostgreSQL refuses."""
    try:
        value: JsonValue = json.loads(text)
        # Written anew: this is where NaN, 1e999, and numbers of 5,000 digits are found out.
        document = json.dumps(value, allow_nan=False, ensure_ascii=False)
        document.encode()  # a lone surrogate, written as an escape
    except (ValueError, RecursionError):
        return None
    return None if "\\u0000" in document else Content(document, Quality.GOOD, value, True)
