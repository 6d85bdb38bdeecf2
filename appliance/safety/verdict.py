"""What the gate says of an action."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from appliance.safety.approvals.domain import Terms
from appliance.safety.budgets.domain import RULE as BUDGET
from appliance.safety.budgets.domain import Charge, Over, strictest
from appliance.safety.budgets.model import Then
from appliance.safety.plant_state.domain import Closed
from appliance.safety.policy.verdict import PolicyVerdict
from appliance.safety.stop import AllStop
from appliance.safety.understood import Understood

DEFAULT_TERMS = Terms()
NO_STOP = AllStop()
UNREADABLE = "policy.unreadable"
CHANGED = "policy.changed"
_PLANT = ("plant_state.", "window.", "lockout.")


class Decision(StrEnum):
    ALLOW = "allow"
    HOLD = "hold"
    """Not now: the run waits and asks again."""
    ASK = "ask"
    """Only with a person's approval, on the verdict's terms: the run waits for it."""
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate says, why, and by which rule; ``epoch`` is the all-stop's at that moment.

    ``policy`` is what the policy answered, where it came to that; ``rule`` is then ``layer/rule@version``, and
    ``in_force`` names the versions of all layers. ``terms`` belong to ASK: who is asked, and for how long.
    """

    outcome: Decision
    reason: str = ""
    rule: str = ""
    epoch: int = 0
    policy: PolicyVerdict | None = None
    command: Understood | None = None
    """What the action's command will do, for kinds that have one."""
    in_force: str = ""
    terms: Terms = DEFAULT_TERMS
    stop: AllStop = NO_STOP
    """The switch that it was decided at."""

    charges: tuple[Charge, ...] = ()
    """Of ALLOW and ASK: what the effect costs, to be paid with its intent."""
    until: datetime | None = None
    """Of HOLD: when it may end, where that is known."""

    @property
    def waits_for_plant(self) -> bool:
        """Whether this hold is the plant's: its state, a maintenance window, somebody's lock-out."""
        return self.rule.startswith(_PLANT)

    @property
    def waits_for_budget(self) -> bool:
        """Whether this hold ends when there is room in a budget again."""
        return self.rule.startswith(BUDGET)

    @property
    def waits_for_policy(self) -> bool:
        """Whether this hold ends when the policy can be read again, and not with the all-stop."""
        return self.rule in (UNREADABLE, CHANGED)


def of_closed(closed: Closed) -> Verdict:
    """What the gate makes of a plant that lets an effect not happen."""
    outcome = Decision.DENY if closed.then is Then.DENY else Decision.HOLD
    return Verdict(outcome, closed.reason, closed.rule, until=closed.until)


def of_over(verdict: Verdict, over: Sequence[Over]) -> Verdict:
    """What becomes of an effect that was allowed, where a budget has no room for it."""
    found = strictest(over)
    outcome = Decision.DENY if found.charge.then is Then.DENY else Decision.HOLD
    reason, rule = found.charge.sentence, found.charge.rule
    return replace(verdict, outcome=outcome, reason=reason, rule=rule, charges=(), until=found.free_at)
