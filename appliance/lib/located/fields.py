"""What the models of every file that people write have in common."""

from datetime import timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

from appliance.lib.duration import DurationError, format_duration, parse_duration
from appliance.lib.errors import MillwrightError
from appliance.lib.said import say


class Model(BaseModel):
    """A mapping of the file: closed, immutable, documented by the texts under its fields."""

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
        raise refuse(say("a duration of nothing"), say("write 30s, 5m, 1h30m or a number of seconds"))
    return length


_DURATION_SCHEMA = WithJsonSchema({"type": "string", "description": "duration: 30s, 5m, 1h30m, 1d"})
_AS_TEXT = PlainSerializer(format_duration, return_type=str)

Duration = Annotated[timedelta, BeforeValidator(_some_duration), _AS_TEXT, _DURATION_SCHEMA]
"""Longer than nothing."""

Pause = Annotated[timedelta, BeforeValidator(_duration), _AS_TEXT, _DURATION_SCHEMA]
"""May be nothing."""


def check_zone(name: str) -> str:
    """Give ``name`` back if the time zone database has it."""
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # ZoneInfoNotFoundError is a KeyError; a folder's name an OSError
        raise refuse(
            say("there is no time zone %(name)r", name=name), say("as in Europe/Paris, Asia/Shanghai, UTC")
        ) from None
    return name


Zone = Annotated[str, AfterValidator(check_zone)]
