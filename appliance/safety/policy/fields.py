"""Kinds of value that several parts of a policy file have."""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, StringConstraints

from appliance.lib.located.fields import refuse
from appliance.lib.topic_filters import filter_fault
from appliance.safety.policy.glob import tidy

RULE_ID = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"


def _listed(value: Any) -> Any:
    """One alone is a list of one."""
    return [value] if isinstance(value, str | int | float | bool) else value


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def _some(value: tuple[Any, ...]) -> tuple[Any, ...]:
    if not value:
        raise refuse("an empty list matches nothing", "leave the key out, or name something")
    return value


def _checked_filter(text: str) -> str:
    fault = filter_fault(text)
    if fault is not None:
        raise refuse(*fault)
    return text


LISTED = (BeforeValidator(_listed), AfterValidator(_some))
Pattern = Annotated[
    str, BeforeValidator(_text), StringConstraints(min_length=1, max_length=1000), AfterValidator(tidy)
]
Patterns = Annotated[tuple[Pattern, ...], *LISTED]
Filters = Annotated[tuple[Annotated[str, AfterValidator(_checked_filter)], ...], *LISTED]
RuleId = Annotated[str, StringConstraints(pattern=RULE_ID, max_length=60)]
