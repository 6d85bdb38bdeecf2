"""Merging two edits of one JSON value by what both started from. Pure."""

import math
from collections.abc import Collection
from enum import Enum

from appliance.lib.digest import canonical_json
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.lib.plain import DEEPEST


class Absent(Enum):
    ABSENT = 0


ABSENT = Absent.ABSENT
Field = JsonValue | Absent
WHOLE = "."
"""The path of the whole value among the counters."""


class Unmergeable(Exception):
    """Both sides changed ``path`` in ways that cannot both stand."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path or 'the value'}: {why}")


def same(one: Field, other: Field) -> bool:
    """Equal as JSON: ``1``, ``1.0`` and ``true`` are three values."""
    if isinstance(one, Absent) or isinstance(other, Absent):
        return one is other
    return canonical_json(one) == canonical_json(other)


def merge(base: Field, mine: Field, theirs: Field, counters: Collection[str] = ()) -> Field:
    """Both edits in one value: per field, and where both changed a declared counter the sum of both changes.

    Raises Unmergeable.
    """
    return _merge(base, mine, theirs, frozenset(counters), "", 0)


def _merge(base: Field, mine: Field, theirs: Field, counters: frozenset[str], path: str, level: int) -> Field:
    if same(theirs, base):
        return mine
    if same(mine, base):
        return theirs
    alike = same(mine, theirs)
    if (path or WHOLE) in counters and not (alike and not _is_number(mine)):
        return _add(base, mine, theirs, path)
    # Two that are alike may hide a counter which both sides moved by the same amount.
    if alike and not (counters and isinstance(mine, dict)):
        return mine
    if isinstance(mine, dict) and isinstance(theirs, dict):
        if level > DEEPEST:
            raise Unmergeable(path, "nested too deeply")
        start = base if isinstance(base, dict) else {}
        return _fields(start, mine, theirs, counters, path, level)
    if isinstance(mine, Absent) or isinstance(theirs, Absent):
        raise Unmergeable(path, "one side removed what the other changed")
    raise Unmergeable(path, "both sides changed it")


def _fields(
    base: JsonObject,
    mine: JsonObject,
    theirs: JsonObject,
    counters: frozenset[str],
    path: str,
    level: int,
) -> JsonObject:
    merged: JsonObject = {}
    for name in [*mine, *(name for name in theirs if name not in mine)]:
        field = _merge(
            base.get(name, ABSENT),
            mine.get(name, ABSENT),
            theirs.get(name, ABSENT),
            counters,
            f"{path}.{name}" if path else name,
            level + 1,
        )
        if not isinstance(field, Absent):
            merged[name] = field
    return merged


def _add(base: Field, mine: Field, theirs: Field, path: str) -> JsonValue:
    start = 0 if isinstance(base, Absent) or base is None else base
    if not (_is_number(start) and _is_number(mine) and _is_number(theirs)):
        raise Unmergeable(path, "it is declared a counter, and not a number on both sides")
    try:
        total = mine + theirs - start  # type: ignore[operator]  # all three are numbers
    except OverflowError as error:
        raise Unmergeable(path, "the sum is too large") from error
    if isinstance(total, float) and not math.isfinite(total):
        raise Unmergeable(path, "the sum is too large")
    return total


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
