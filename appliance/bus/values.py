"""What a payload says: JSON, a number, text, or bytes that only a program understands."""

import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from appliance.bus.places import place_of
from appliance.bus.ports import Message
from appliance.lib.jsontypes import JsonValue

MAX_VALUE_BYTES = 16 * 1024
"""Payloads over this size have a last value without content: `Quality.LARGE`."""
HEAD_BYTES = 512
"""How much of a payload is kept as it came, to be looked at."""


class Quality(StrEnum):
    GOOD = "good"
    """The value is the payload: JSON, or text."""
    BINARY = "binary"
    """Not text; there is no value."""
    LARGE = "large"
    """Too large to keep; there is no value."""


@dataclass(frozen=True, slots=True)
class TopicValue:
    """What was last seen on a topic. ``topic`` names the broker too, where it is not the own (`places`)."""

    topic: str
    payload: bytes
    at: datetime
    retained: bool = False

    @classmethod
    def from_message(cls, message: Message) -> "TopicValue":
        topic = place_of(message.broker, message.topic)
        return cls(topic, message.payload, message.received_at, message.retain)


@dataclass(frozen=True, slots=True)
class Content:
    """A payload, read. ``document`` is the value as JSON text, or None."""

    document: str | None
    quality: Quality


def read_payload(payload: bytes) -> Content:
    """Read a payload; whatever it holds, the result can be stored as JSON in PostgreSQL."""
    if len(payload) > MAX_VALUE_BYTES:
        return Content(None, Quality.LARGE)
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return Content(None, Quality.BINARY)
    if "\x00" in text:
        return Content(None, Quality.BINARY)
    document = _as_json(text)
    return Content(json.dumps(text) if document is None else document, Quality.GOOD)


def _as_json(text: str) -> str | None:
    """The canonical text of a JSON payload; None where it is no JSON, or JSON that PostgreSQL refuses."""
    try:
        value: JsonValue = json.loads(text)
        # Written anew: this is where NaN, 1e999, and numbers of 5,000 digits are found out.
        document = json.dumps(value, allow_nan=False, ensure_ascii=False)
        document.encode()  # a lone surrogate, written as an escape
    except (ValueError, RecursionError):
        return None
    return None if "\\u0000" in document else document
