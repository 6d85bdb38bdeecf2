"""Kinds of value that several parts of a policy file have."""

from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from appliance.lib.located.fields import refuse
from appliance.lib.located.patterns import LISTED
from appliance.lib.topic_filters import filter_fault

RULE_ID = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"


def _checked_filter(text: str) -> str:
    fault = filter_fault(text)
    if fault is not None:
        raise refuse(*fault)
    return text


Filters = Annotated[tuple[Annotated[str, AfterValidator(_checked_filter)], ...], *LISTED]
RuleId = Annotated[str, StringConstraints(pattern=RULE_ID, max_length=60)]
