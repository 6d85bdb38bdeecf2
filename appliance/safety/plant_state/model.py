"""What a policy file asks of the plant: data and no expression, so that it can be walked and compared."""

from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from appliance.lib.located.fields import Duration, refuse
from appliance.safety.budgets.model import Then
from appliance.safety.policy.fields import RuleId
from appliance.safety.policy.selection import Selection

Value = str | bool | float | int


def _listed(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


def _exact(topic: str) -> str:
    if "+" in topic or "#" in topic or " " in topic:
        raise refuse("one topic is looked at, without wildcards", "as in state: plant/line3/mode")
    return topic


Values = Annotated[tuple[Value, ...], BeforeValidator(_listed), Field(min_length=1, max_length=100)]


class PlantRule(Selection):
    """The last value of a topic must be so. Stale or missing, it is not."""

    id: RuleId
    """Its name, which every decision by it carries."""
    state: Annotated[str, StringConstraints(min_length=1, max_length=300), AfterValidator(_exact)]
    """The topic whose last value is looked at."""
    max_age: Duration = timedelta(minutes=1)
    """How old the value may be."""
    is_: Values | None = Field(default=None, alias="is")
    """One of these."""
    is_not: Values | None = None
    """None of these."""
    least: float | None = None
    """A number, at least this."""
    most: float | None = None
    """A number, at most this."""
    then: Then = Then.HOLD
    """`hold` or `deny`."""
    reason: Annotated[str, StringConstraints(max_length=300)] = ""
    """The sentence that people read when it closes the gate."""

    @model_validator(mode="after")
    def _says_something(self) -> "PlantRule":
        if self.is_ is None and self.is_not is None and self.least is None and self.most is None:
            raise refuse("nothing is asked of the value", "one or several of is, is_not, least and most")
        return self
