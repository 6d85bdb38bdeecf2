"""What pydantic refuses in a configuration, as sentences for people: never with the value, which may be a secret."""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic_core import ErrorDetails

from appliance.lib.said import say

_PLAIN = {
    "missing": say("this is needed"),
    "bool_type": say("expected true or false"),
    "bool_parsing": say("expected true or false"),
    "int_type": say("expected a whole number"),
    "int_parsing": say("expected a whole number"),
    "int_from_float": say("expected a whole number"),
    "float_type": say("expected a number"),
    "float_parsing": say("expected a number"),
    "string_type": say("expected text"),
    "list_type": say("expected a list"),
    "tuple_type": say("expected a list"),
    "dict_type": say("expected an object with keys of its own"),
    "model_type": say("expected an object with keys of its own"),
    "model_attributes_type": say("expected an object with keys of its own"),
    "time_type": say("expected a time such as 22:00"),
    "time_parsing": say("expected a time such as 22:00"),
    "string_pattern_mismatch": say("this does not have the form that is expected here"),
}
_BOUNDED: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "greater_than": lambda ctx: say("it should be greater than %(than)s", than=ctx["gt"]),
    "greater_than_equal": lambda ctx: say("it should be greater than or equal to %(than)s", than=ctx["ge"]),
    "less_than": lambda ctx: say("it should be less than %(than)s", than=ctx["lt"]),
    "less_than_equal": lambda ctx: say("it should be less than or equal to %(than)s", than=ctx["le"]),
    "string_too_short": lambda ctx: say("expected at least %(count)s characters", count=ctx["min_length"]),
    "string_too_long": lambda ctx: say("expected at most %(count)s characters", count=ctx["max_length"]),
    "literal_error": lambda ctx: say("expected one of: %(known)s", known=ctx["expected"]),
    "enum": lambda ctx: say("expected one of: %(known)s", known=ctx["expected"]),
}


def in_words(detail: ErrorDetails) -> tuple[str, str]:
    """The sentence and its hint, which may be empty."""
    kind, context = detail["type"], detail.get("ctx", {})
    if kind in _PLAIN:
        return _PLAIN[kind], ""
    if kind in _BOUNDED:
        return _BOUNDED[kind](context), ""
    if kind == "refused":
        return context["message"], context.get("hint", "")
    if kind == "value_error":
        said = context["error"].args[0] if context["error"].args else ""
        return (said, "") if isinstance(said, str) else (str(said), "")
    return detail["msg"], ""
