"""Budgets as they are written: in a policy file, and at a task."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from appliance.lib.located.fields import Duration, Model, refuse
from appliance.lib.said import say
from appliance.safety.policy.fields import RuleId
from appliance.safety.policy.selection import Selection

LONGEST = timedelta(days=31)
SHORTEST = timedelta(minutes=1)


class Then(StrEnum):
    """What becomes of an effect that may not be now."""

    HOLD = "hold"
    """The run waits, and asks again."""
    DENY = "deny"
    """The step is refused."""


class Each(StrEnum):
    """Whose effects are counted together."""

    BOX = "box"
    TASK = "task"
    PRINCIPAL = "principal"


class Amounts(Model):
    """At most so much in any stretch of the length ``per``."""

    effects: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None
    """Steps that act, each attempt of them."""
    time: Duration | None = None
    """Time for which its steps work, from their beginning to their end."""
    tokens: Annotated[int, Field(ge=1, le=1_000_000_000_000)] | None = None
    """Tokens of models."""
    same: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """How often exactly the same action (kind and arguments) of the same task and principal."""
    per: Duration = timedelta(hours=1)
    """From 1 minute to 31 days."""
    then: Then = Then.HOLD
    """`hold`: the run waits until there is room again. `deny`: the step is refused."""

    @model_validator(mode="after")
    def _says_something(self) -> "Amounts":
        if self.effects is None and self.time is None and self.tokens is None and self.same is None:
            raise refuse(
                say("a budget without an amount"), say("one or several of effects, time, tokens and same")
            )
        if not SHORTEST <= self.per <= LONGEST:
            raise refuse(say("a budget counts over 1m to 31d"), say("as in per: 1h"))
        return self


class BudgetRule(Selection, Amounts):
    """A budget of a policy file."""

    id: RuleId
    """Its name, which every decision by it carries."""
    each: Each = Each.BOX
    """`box`: all effects that it is about together. `task`, `principal`: those of each one by themselves."""
    reason: Annotated[str, StringConstraints(max_length=300)] = ""
    """The sentence that people read when it is used up."""
