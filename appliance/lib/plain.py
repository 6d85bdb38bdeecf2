"""From any value to the JSON value that PostgreSQL stores: the last wash before a row is written."""

import math
from collections.abc import Mapping
from typing import Any

from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.lib.unseen import all_seen


def plain_text(text: str) -> str:
    """The text without what PostgreSQL or UTF-8 refuse: NUL and lone surrogates become U+FFFD."""
    if text.isascii():
        return text.replace("\x00", "\ufffd") if "\x00" in text else text
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text.replace("\x00", "\ufffd")


DEEPEST = 200
"""Levels of nesting that are kept; what lies deeper becomes a word. PostgreSQL and Python both recurse."""


def plain(value: Any, level: int = 0) -> JsonValue:
    """``value`` as JSON: containers are copied, what it cannot say (NaN, bytes, a date) becomes text."""
    if level > DEEPEST:
        return "nested too deeply"
    kind = type(value)
    if kind is str:
        return plain_text(value)
    if value is None or kind is int or kind is bool:
        return value  # type: ignore[no-any-return]
    if kind is dict:
        return plain_object(value, level)
    return _plain_other(value, level)


def _plain_other(value: Any, level: int) -> JsonValue:
    """What is rarer than text, whole numbers and objects: the checks above are on the path of every event."""
    if isinstance(value, str):
        return plain_text(str(value))
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return plain_object(value, level)
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item, level + 1) for item in value]
    if isinstance(value, bytes | bytearray):
        return plain_text(bytes(value).decode("utf-8", "replace"))
    return plain_text(str(value))


def plain_object(value: Mapping[Any, Any], level: int = 0) -> JsonObject:
    """A mapping as a JSON object; keys become text."""
    return {plain_text(str(key)): plain(item, level + 1) for key, item in value.items()}


def visible(text: str) -> str:
    """One line for a terminal: what would move its cursor, colour it or end the line stands there as an escape."""
    return all_seen(text, lambda one: ascii(one)[1:-1])
