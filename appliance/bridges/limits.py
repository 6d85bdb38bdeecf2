"""How much an operator lets the box say on a platform: ``"limit": {"messages": 20, "per": "1m"}``."""

from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator

from appliance.lib.located.fields import Duration
from appliance.lib.said import say
from appliance.outbox.ports import Pace

LONGEST = timedelta(days=1)
MOST_AT_ONCE = 5


class MessageLimit(BaseModel):
    """At most so many messages in any stretch of this length; what comes beyond it waits for its turn."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    messages: Annotated[int, Field(ge=1, le=100_000, title="Messages")]
    """At most so many"""
    per: Annotated[Duration, Field(title="In")]
    """in any stretch of this length: `30s`, `1m`, `1h`; one day at most."""

    @field_validator("per")
    @classmethod
    def _bounded(cls, value: timedelta) -> timedelta:
        if value > LONGEST:
            raise ValueError(say("a limit counts over one day at most"))
        return value

    def slow_down(self, pace: Pace) -> Pace:
        """The slower of what the platform bears and what the operator allows.

        What may go at once after a silence, but for the first, is taken from what flows in: no stretch has more.
        """
        burst = float(max(1, min(MOST_AT_ONCE, self.messages // 4)))
        slowest = (self.messages - burst + 1) / self.per.total_seconds()
        if pace.per_second:
            slowest, burst = min(slowest, pace.per_second), min(burst, pace.burst)
        return Pace(slowest, pace.interval, burst)
