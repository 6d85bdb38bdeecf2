"""What PostgreSQL gives as JSON objects, one for each row, up to a number and a size."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from appliance.actions.contract import ActionRefused
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.lib.plain import plain

_EXACT = 2**53


@dataclass(frozen=True, slots=True)
class Caps:
    rows: int
    size: int


class Rows:
    """Rows as JSON objects, up to a number and a size."""

    def __init__(self, caps: Caps) -> None:
        self._caps = caps
        self._size = 0
        self.found: list[JsonValue] = []

    def add(self, description: Sequence[Any] | None, row: Sequence[Any]) -> None:
        names = names_of(description)
        if len(self.found) >= self._caps.rows:
            raise ActionRefused(f"more than {self._caps.rows} rows", hint="add LIMIT, or raise max_rows")
        one = object_of(names, row)
        self._size += len(json.dumps(one, ensure_ascii=False).encode("utf-8", "replace"))
        if self._size > self._caps.size:
            limit = self._caps.size // 1024
            raise ActionRefused(f"more than {limit} KiB of rows", hint="ask for less, or raise max_kib")
        self.found.append(one)


def names_of(description: Sequence[Any] | None) -> list[str]:
    names = [column.name for column in description or ()]
    if len(set(names)) < len(names):
        double = next(name for name in names if names.count(name) > 1)
        raise ActionRefused(f"two columns are named {double!r}", hint="give one another name with AS")
    return names


def object_of(names: Sequence[str], row: Sequence[Any]) -> JsonObject:
    return {name: _plain(value) for name, value in zip(names, row, strict=True)}


def _plain(value: Any) -> JsonValue:
    """A value of PostgreSQL as JSON. Numbers that JSON's readers would round become text."""
    if isinstance(value, Decimal):
        whole = value.is_finite() and value == value.to_integral_value() and abs(value) < _EXACT
        exact = whole or (value.is_finite() and Decimal(str(float(value))) == value)
        return (int(value) if whole else float(value)) if exact else str(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return plain(value)
