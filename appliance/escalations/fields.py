"""Fields of files that say how long somebody may take to acknowledge."""

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator

from appliance.escalations.domain import LONGEST
from appliance.lib.located.fields import Duration, refuse
from appliance.lib.said import say


def _bounded(value: timedelta) -> timedelta:
    if value > LONGEST:
        raise refuse(say("nobody is given more than 7 days to acknowledge"))
    return value


StageLength = Annotated[Duration, AfterValidator(_bounded)]
"""How long a stage lasts: longer than nothing, seven days at most."""
