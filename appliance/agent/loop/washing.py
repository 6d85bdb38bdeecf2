"""Whether what a model gives can be kept, compared and shown at all. Pure."""

import math

from appliance.agent.errors import ToolUnknown
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.lib.plain import plain_text

DEEPEST = 12
MOST_VALUES = 500
MOST_CHARACTERS = 32_000
_LONGEST_NUMBER = 1 << 63


def check_size(arguments: JsonObject) -> None:
    """Raises ToolUnknown, in words for the model.

    Without recursion: what is checked may be nested as deep as it likes.
    """
    left: list[tuple[JsonValue, int]] = [(arguments, 1)]
    count = size = 0
    while left:
        value, depth = left.pop()
        count += 1
        if depth > DEEPEST:
            raise ToolUnknown(f"the arguments are nested deeper than {DEEPEST} levels")
        if isinstance(value, dict):
            left += [(key, depth) for key in value]
            left += [(one, depth + 1) for one in value.values()]
        elif isinstance(value, list):
            left += [(one, depth + 1) for one in value]
        elif isinstance(value, str):
            size += len(value)
            _check_text(value)
        else:
            _check_number(value)
        if count + len(left) > MOST_VALUES:
            raise ToolUnknown(f"the arguments hold more than {MOST_VALUES} values")
        if size > MOST_CHARACTERS:
            raise ToolUnknown(f"the arguments hold more than {MOST_CHARACTERS:,} characters")


def kept(arguments: JsonObject) -> JsonObject:
    """The arguments as the row keeps them: nothing of what is too much to be looked at."""
    try:
        check_size(arguments)
    except ToolUnknown:
        return {}
    return arguments


def _check_text(text: str) -> None:
    if plain_text(text) != text:
        raise ToolUnknown("an argument holds NUL or half a character, which nothing takes")


def _check_number(value: JsonValue) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ToolUnknown("an argument is no number: JSON knows neither NaN nor Infinity")
    if isinstance(value, int) and abs(value) > _LONGEST_NUMBER:
        raise ToolUnknown("a number is longer than 64 bits: give it as text")
