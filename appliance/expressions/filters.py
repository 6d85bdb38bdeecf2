"""The filters and tests of the language: a closed list, each over plain JSON values."""

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from appliance.expressions.errors import ExpressionError
from appliance.expressions.limits import LONGEST_TEXT
from appliance.expressions.run import Missing
from appliance.expressions.values import (
    bounded,
    contains,
    is_number,
    is_whole,
    to_json,
    to_text,
    too_long,
    type_name,
)

_WHOLE = re.compile(r"[+-]?[0-9]{1,40}")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})(?:[eE][+-]?[0-9]{1,4})?")


@dataclass(frozen=True, slots=True)
class Filter:
    """``value|name(a, b)`` calls ``apply(value, a, b)``, with ``least`` to ``most`` arguments after the value.

    ``effort``: how many times the whole value is gone through.
    """

    apply: Callable[..., Any]
    least: int = 0
    most: int = 0
    effort: int = 1


def _expect(value: Any, kind: type, wanted: str, hint: str | None = None) -> Any:
    if not isinstance(value, kind):
        raise ExpressionError(f"needs {wanted}, not {type_name(value)}", hint=hint)
    return value


def _text(value: Any) -> str:
    return str(_expect(value, str, "text", "turn it into text with |string"))


def _list(value: Any) -> list[Any]:
    found: list[Any] = _expect(value, list, "a list")
    return found


def _mapping(value: Any) -> dict[str, Any]:
    found: dict[str, Any] = _expect(value, dict, "a mapping")
    return found


def _number(value: Any) -> Any:
    if not is_number(value):
        raise ExpressionError(f"needs a number, not {type_name(value)}", hint="turn it into one with |float")
    return value


def _length(value: Any) -> int:
    if isinstance(value, str | list | dict):
        return len(value)
    raise ExpressionError(f"needs a text, a list or a mapping, not {type_name(value)}")


def _round(value: Any, digits: Any = 0) -> Any:
    if not is_whole(digits) or not 0 <= digits <= 15:
        raise ExpressionError("needs 0 to 15 digits")
    number = bounded(_number(value))
    return round(number, digits) if digits else round(number)


def _int(value: Any, otherwise: Any = None) -> Any:
    """The whole part. Texts are decimal numbers, with blanks around them at most."""
    try:
        if isinstance(value, str):
            text = value.strip()
            return bounded(int(text) if _WHOLE.fullmatch(text) else math.trunc(_decimal(text)))
        return bounded(math.trunc(value))
    except (TypeError, ValueError, OverflowError, ExpressionError):
        return _fallback(value, otherwise, "a whole number")


def _float(value: Any, otherwise: Any = None) -> Any:
    try:
        return bounded(_decimal(value.strip()) if isinstance(value, str) else float(value))
    except (TypeError, ValueError, OverflowError, ExpressionError):
        return _fallback(value, otherwise, "a number")


def _decimal(text: str) -> float:
    if not _DECIMAL.fullmatch(text):
        raise ValueError
    return float(text)


def _fallback(value: Any, otherwise: Any, wanted: str) -> Any:
    if otherwise is None:
        said = repr(value[:60]) if isinstance(value, str) else type_name(value)
        raise ExpressionError(f"{said} is not {wanted}", hint="give a value for that case, as |int(0)")
    return otherwise


def _replace(value: Any, old: Any, new: Any) -> str:
    text, before, after = _text(value), _text(old), _text(new)
    if not before:
        raise ExpressionError("needs a text to look for")
    if len(text) + text.count(before) * (len(after) - len(before)) > LONGEST_TEXT:
        raise too_long()
    return text.replace(before, after)


def _join(value: Any, between: Any = "") -> str:
    texts, sign = [to_text(item) for item in _list(value)], _text(between)
    if sum(map(len, texts)) + len(sign) * len(texts) > LONGEST_TEXT + len(sign):
        raise too_long()
    return sign.join(texts)


def _end(index: int) -> Callable[[Any], Any]:
    def pick(value: Any) -> Any:
        members = value if isinstance(value, str) else _list(value)
        return members[index] if members else _nothing()

    return pick


def _nothing() -> Missing:
    return Missing("there is no member: the list is empty", 0)


def _comparable(value: Any) -> list[Any]:
    members = _list(value)
    if not (all(map(is_number, members)) or all(isinstance(item, str) for item in members)):
        raise ExpressionError("needs a list of numbers, or a list of texts")
    return members


def _extreme(pick: Callable[[list[Any]], Any]) -> Callable[[Any], Any]:
    return lambda value: pick(members) if (members := _comparable(value)) else _nothing()


def _sort(value: Any, descending: Any = False) -> list[Any]:
    return sorted(_comparable(value), reverse=bool(descending))


def _unique(value: Any) -> list[Any]:
    seen: dict[str, Any] = {}
    for item in _list(value):
        seen.setdefault(json.dumps(item, sort_keys=True), item)
    return list(seen.values())


def _sum(value: Any) -> Any:
    try:
        return bounded(sum(_number(item) for item in _list(value)))
    except OverflowError:
        raise ExpressionError("the number grows out of hand") from None


def _fromjson(value: Any) -> Any:
    text = _text(value)
    if len(text) > LONGEST_TEXT:
        raise too_long()
    try:
        return json.loads(text, parse_int=_json_int, parse_float=_json_float, parse_constant=_decimal)
    except (ValueError, RecursionError):
        raise ExpressionError(f"this is not JSON: {text[:60]!r}") from None


def _json_int(text: str) -> Any:
    return bounded(int(text))


def _json_float(text: str) -> Any:
    return bounded(float(text))


def _split(value: Any, between: Any = None) -> list[str]:
    text = _text(value)
    if between is None:
        return text.split()
    if not _text(between):
        raise ExpressionError("needs a text between the parts")
    return text.split(between)


def _lines(value: Any) -> list[str]:
    text = _text(value).replace("\r\n", "\n").removesuffix("\n")
    return text.split("\n") if text else []


def _truncate(value: Any, most: Any = 255) -> str:
    if not is_whole(most) or most < 1:
        raise ExpressionError("needs a length of at least 1")
    text = _text(value)
    return text if len(text) <= most else text[: most - 1] + "…"


FILTERS: dict[str, Filter] = {
    "abs": Filter(lambda value: abs(_number(value))),
    "contains": Filter(lambda value, item: contains(item, value), 1, 1),
    "first": Filter(_end(0), effort=0),
    "float": Filter(_float, most=1),
    "fromjson": Filter(_fromjson, effort=8),
    "int": Filter(_int, most=1),
    "items": Filter(lambda value: [[key, item] for key, item in _mapping(value).items()]),
    "join": Filter(_join, most=1),
    "keys": Filter(lambda value: list(_mapping(value))),
    "last": Filter(_end(-1), effort=0),
    "length": Filter(_length, effort=0),
    "lines": Filter(_lines, effort=4),
    "lower": Filter(lambda value: _text(value).lower()),
    "max": Filter(_extreme(max)),
    "min": Filter(_extreme(min)),
    "replace": Filter(_replace, 2, 2, effort=2),
    "round": Filter(_round, most=1),
    "sort": Filter(_sort, most=1, effort=4),
    "split": Filter(_split, most=1, effort=4),
    "string": Filter(to_text),
    "sum": Filter(_sum),
    "tojson": Filter(to_json, effort=2),
    "trim": Filter(lambda value: _text(value).strip()),
    "truncate": Filter(_truncate, most=1, effort=0),
    "unique": Filter(_unique, effort=4),
    "upper": Filter(lambda value: _text(value).upper()),
    "values": Filter(lambda value: list(_mapping(value).values())),
}
"""Besides these, ``default`` is known to the compiler itself: it must see a missing name."""

TESTS: dict[str, Callable[..., bool]] = {
    "boolean": lambda value: isinstance(value, bool),
    "even": lambda value: is_whole(value) and value % 2 == 0,
    "in": contains,
    "mapping": lambda value: isinstance(value, dict),
    "none": lambda value: value is None,
    "number": is_number,
    "odd": lambda value: is_whole(value) and value % 2 == 1,
    "sequence": lambda value: isinstance(value, str | list),
    "string": lambda value: isinstance(value, str),
}
"""Besides these, ``defined`` and ``undefined`` are known to the compiler itself."""
