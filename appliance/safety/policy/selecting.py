"""A selection ready to test: what the task alone decides is looked at once for each task."""

from dataclasses import dataclass

from appliance.safety.policy.conditions import Test, dynamic_conditions, static_conditions
from appliance.safety.policy.facts import Facts, Static
from appliance.safety.policy.model import Rule
from appliance.safety.policy.selection import Selection
from appliance.safety.policy.vocabulary import Answer


@dataclass(frozen=True, slots=True)
class Selected:
    """Of a list of values, and of origins, one that fits is enough: a budget or a condition is there to hold back."""

    static: tuple[Test[Static], ...]
    dynamic: tuple[Test[Facts], ...]

    @classmethod
    def of(cls, selection: Selection) -> "Selected":
        rule = Rule.model_construct(
            **{name: getattr(selection, name) for name in Selection.model_fields}, decide=Answer.DENY
        )
        return cls(
            tuple(one.test for one in static_conditions(rule)),
            tuple(one.test for one in dynamic_conditions(rule)),
        )

    def may_take(self, static: Static) -> bool:
        """Whether it can be about any step of this kind of this task."""
        return any(all(test(one) for test in self.static) for one in static.each)

    def takes(self, facts: Facts) -> bool:
        """Whether it is about this action, of a task that ``may_take`` let through."""
        return all(test(facts) for test in self.dynamic)
