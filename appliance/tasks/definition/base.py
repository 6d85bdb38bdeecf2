"""What every definition model and field has in common."""

from datetime import timedelta
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from appliance.bus.places import NAME as BROKER
from appliance.lib.duration import DurationError, format_duration, parse_duration
from appliance.lib.errors import MillwrightError


class Model(BaseModel):
    """A mapping of the task file: closed, immutable, documented by the texts under its fields."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        arbitrary_types_allowed=True,
        use_attribute_docstrings=True,
        populate_by_name=True,
    )


def refusal(error: MillwrightError) -> PydanticCustomError:
    """A validation error that keeps the message and hint of one of our own errors."""
    return PydanticCustomError("refused", "{message}", {"message": error.message, "hint": error.hint or ""})


def refuse(message: str, hint: str = "") -> PydanticCustomError:
    return PydanticCustomError("refused", "{message}", {"message": message, "hint": hint})


def _duration(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    try:
        return parse_duration(value)
    except DurationError as error:
        raise refusal(error) from error


def _some_duration(value: Any) -> timedelta:
    length = _duration(value)
    if not length:
        raise refuse("a duration of nothing", "write 30s, 5m, 1h30m or a number of seconds")
    return length


_DURATION_SCHEMA = WithJsonSchema({"type": "string", "description": "duration: 30s, 5m, 1h30m, 1d"})
_AS_TEXT = PlainSerializer(format_duration, return_type=str)

Duration = Annotated[timedelta, BeforeValidator(_some_duration), _AS_TEXT, _DURATION_SCHEMA]
"""Longer than nothing."""

Pause = Annotated[timedelta, BeforeValidator(_duration), _AS_TEXT, _DURATION_SCHEMA]
"""May be nothing."""

NAME = r"^\w[\w.-]*$"
IDENTIFIER = r"^[A-Za-z_][A-Za-z0-9_-]*$"
SLUG = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
HEADER = r"^[A-Za-z0-9-]+$"
VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
CACHE_KEY = r"^[^\s{}][^{}\n]*$"

PATTERNS = {
    BROKER: "the name of a broker: small letters, digits, - and _",
    NAME: "letters, digits and _ . - without blanks",
    IDENTIFIER: "a letter or _, then letters, digits, _ and -",
    SLUG: "letters, digits, _ and -",
    HEADER: "the name of a header, as X-Hub-Signature-256",
    VARIABLE: "a letter or _, then letters, digits and _",
    CACHE_KEY: "a fixed name, without expressions",
}
"""What each pattern asks for, in words."""

Name = Annotated[str, StringConstraints(pattern=NAME, max_length=100)]
"""Of a task: letters of any script."""

Identifier = Annotated[str, StringConstraints(pattern=IDENTIFIER, max_length=60)]
"""Of a step or trigger."""

Slug = Annotated[str, StringConstraints(pattern=SLUG, max_length=64)]
"""A part of an address, or the name of a secret."""

BrokerName = Annotated[str, StringConstraints(pattern=BROKER)]
"""Of a broker that is connected beside the box's own."""

HeaderName = Annotated[str, StringConstraints(pattern=HEADER, max_length=64)]
VariableName = Annotated[str, StringConstraints(pattern=VARIABLE, max_length=60)]
CacheKey = Annotated[str, StringConstraints(pattern=CACHE_KEY, max_length=200)]
