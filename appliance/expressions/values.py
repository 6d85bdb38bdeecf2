"""Plain JSON values: what is true, what text a value is, what may be added to and compared with what."""

import json
import math
import operator
from collections.abc import Callable
from typing import Any

from appliance.expressions.errors import ExpressionError
from appliance.expressions.limits import CHARACTERS_PER_STEP, LARGEST_INT, LONGEST_TEXT
from appliance.lib.said import say

_NUMBERS = (int, float)


def type_name(value: Any) -> str:
    """The word for a value's type in a message to a person."""
    if value is None:
        return say("none")
    if isinstance(value, bool):
        return say("true or false")
    if isinstance(value, _NUMBERS):
        return say("a number")
    for kind, word in ((str, say("text")), (list, say("a list")), (dict, say("a mapping"))):
        if isinstance(value, kind):
            return word
    return f"a {type(value).__name__}, which is no JSON value"


def truth(value: Any) -> bool:
    """Whether a condition holds: none, false, 0, and empty text, list and mapping do not."""
    return bool(value)


def is_number(value: Any) -> bool:
    return isinstance(value, _NUMBERS) and not isinstance(value, bool)


def is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def to_text(value: Any) -> str:
    """The text of a value inside a longer text: nothing for none, compact JSON for lists and mappings."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | dict):
        return to_json(value)
    if isinstance(value, _NUMBERS):
        return str(bounded(value))
    raise ExpressionError(f"this is {type_name(value)}")


def to_json(value: Any) -> str:
    """Compact JSON. The caller has weighed ``value``, so that this cannot grow out of hand."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ExpressionError(f"this cannot be written as JSON: {error}") from error


def bounded(value: Any) -> Any:
    """The value, unless it is too long, too large, or no number at all (NaN, infinity)."""
    kind = type(value)
    if kind is str:
        if len(value) > LONGEST_TEXT:
            raise too_long()
    elif kind is int:
        if not -LARGEST_INT <= value <= LARGEST_INT:
            raise ExpressionError("the number grows beyond 64 bits")
    elif kind is float and not math.isfinite(value):
        raise ExpressionError("the number grows out of hand")
    return value


def too_long() -> ExpressionError:
    return ExpressionError(f"the text grows beyond {LONGEST_TEXT} characters")


def weigh(value: Any, most: int) -> int:
    """The steps that it takes to look at every part of ``value``; stops counting beyond ``most``."""
    total, waiting = 0, [value]
    while waiting and total <= most:
        part = waiting.pop()
        total += 1
        if isinstance(part, str):
            total += len(part) // CHARACTERS_PER_STEP
        elif isinstance(part, list | dict):
            if len(part) > most - total:
                return most + 1
            if isinstance(part, dict):
                total += sum(len(key) for key in part) // CHARACTERS_PER_STEP
                part = part.values()
            waiting.extend(part)
    return total


_ARITHMETIC: dict[str, tuple[str, Callable[[Any, Any], Any]]] = {
    "Add": ("+", operator.add),
    "Sub": ("-", operator.sub),
    "Mul": ("*", operator.mul),
    "Div": ("/", operator.truediv),
    "FloorDiv": ("//", operator.floordiv),
    "Mod": ("%", operator.mod),
}


def arithmetic(kind: str) -> Callable[[Any, Any], Any]:
    """``+ - * / // %`` on numbers; ``+`` also joins two texts or two lists. Nothing is ever repeated."""
    sign, compute = _ARITHMETIC[kind]

    def apply(left: Any, right: Any) -> Any:
        if is_number(left) and is_number(right):
            try:
                return bounded(compute(left, right))
            except ZeroDivisionError:
                raise ExpressionError(f"division by zero: {to_text(left)} {sign} {to_text(right)}") from None
            except OverflowError:
                raise ExpressionError("the number grows out of hand") from None
        for joinable in (str, list) if kind == "Add" else ():
            if isinstance(left, joinable) and isinstance(right, joinable):
                return bounded(compute(left, right))
        raise ExpressionError(
            f"{sign} cannot take {type_name(left)} and {type_name(right)}",
            hint="join texts with ~" if kind == "Add" else "turn text into a number with |float",
        )

    return apply


_ORDER: dict[str, tuple[str, Callable[[Any, Any], Any]]] = {
    "lt": ("<", operator.lt),
    "lteq": ("<=", operator.le),
    "gt": (">", operator.gt),
    "gteq": (">=", operator.ge),
}


def comparison(kind: str) -> Callable[[Any, Any], bool]:
    """``== != < <= > >= in``; order is only between two numbers or two texts."""
    if kind in _OTHER:
        return _OTHER[kind]
    sign, compute = _ORDER[kind]

    def apply(left: Any, right: Any) -> bool:
        if (is_number(left) and is_number(right)) or (isinstance(left, str) and isinstance(right, str)):
            return bool(compute(left, right))
        raise ExpressionError(
            f"{sign} cannot compare {type_name(left)} with {type_name(right)}",
            hint="turn text into a number with |float",
        )

    return apply


def same(left: Any, right: Any) -> bool:
    """Equality as in JSON: ``true`` is not 1, at no depth."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return bool(left == right)


def contains(item: Any, container: Any) -> bool:
    """``item in container``: part of a text, member of a list, key of a mapping."""
    if isinstance(container, str):
        if not isinstance(item, str):
            raise ExpressionError(f"only text can be in a text, not {type_name(item)}")
        return item in container
    if isinstance(container, list):
        return any(same(item, member) for member in container)
    if isinstance(container, dict):
        return isinstance(item, str) and item in container
    raise ExpressionError(f"'in' needs a text, a list or a mapping, not {type_name(container)}")


_OTHER: dict[str, Callable[[Any, Any], bool]] = {
    "eq": same,
    "ne": lambda left, right: not same(left, right),
    "in": contains,
    "notin": lambda left, right: not contains(left, right),
}
