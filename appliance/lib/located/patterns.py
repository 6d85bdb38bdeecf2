"""Fields that hold one pattern, or a list of them."""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, StringConstraints

from appliance.lib.glob import tidy
from appliance.lib.located.fields import refuse
from appliance.lib.said import say


def _listed(value: Any) -> Any:
    """One alone is a list of one."""
    return [value] if isinstance(value, str | int | float | bool) else value


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def _some(value: tuple[Any, ...]) -> tuple[Any, ...]:
    if not value:
        raise refuse(say("an empty list matches nothing"), say("leave the key out, or name something"))
    return value


LISTED = (BeforeValidator(_listed), AfterValidator(_some))
"""Makes a field of a tuple take one value as well."""
Pattern = Annotated[
    str, BeforeValidator(_text), StringConstraints(min_length=1, max_length=1000), AfterValidator(tidy)
]
"""A text in which ``*`` is any run of characters and ``?`` one."""
Patterns = Annotated[tuple[Pattern, ...], *LISTED]
