"""What the gate says of an action."""

from dataclasses import dataclass
from enum import StrEnum

from appliance.safety.approvals.domain import Terms
from appliance.safety.policy.verdict import PolicyVerdict
from appliance.safety.stop import AllStop
from appliance.safety.understood import Understood

DEFAULT_TERMS = Terms()
NO_STOP = AllStop()
UNREADABLE = "policy.unreadable"
CHANGED = "policy.changed"


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

    @property
    def waits_for_policy(self) -> bool:
        """Whether this hold ends when the policy can be read again, and not with the all-stop."""
        return self.rule in (UNREADABLE, CHANGED)
