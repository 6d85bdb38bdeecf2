"""What the gate is asked, and what it answers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from appliance.accounts.domain import Role
from appliance.accounts.principal import person_of
from appliance.lib.jsontypes import JsonMapping
from appliance.safety.approvals.domain import Terms
from appliance.safety.budgets.domain import RULE as BUDGET
from appliance.safety.budgets.domain import Charge, Over, strictest
from appliance.safety.budgets.model import Amounts, Then
from appliance.safety.plant_state.domain import Closed
from appliance.safety.policy.facts import Static
from appliance.safety.policy.verdict import PolicyVerdict
from appliance.safety.understood import Understood

DEFAULT_TERMS = Terms()


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


_PLANT = ("plant_state.", "window.", "lockout.")
UNREADABLE = "policy.unreadable"
CHANGED = "policy.changed"


@dataclass(frozen=True, slots=True)
class Action:
    """The typed action that is decided on: exactly what will be done, with its values filled in.

    ``effect`` is the effect class: how it may be repeated, in which its task's author has a word. ``acts`` is whether
    it reaches anything, in which the author has none. ``ceiling`` is the most that its task may do; ``principal`` who
    asked.
    """

    kind: str
    effect: str
    arguments: JsonMapping
    principal: str
    ceiling: str = Role.OPERATOR.value
    run_id: UUID | None = None
    step_id: str = ""
    origin: str = ""
    task: str = ""
    acts: bool = True
    plant: Closed | None = None
    """Where the task's or the step's own condition on the plant, or one of the policy's, closes the gate now."""
    budget: Amounts | None = None
    """The task's own."""

    @property
    def static(self) -> Static:
        return Static(self.kind, self.origin, self.task, self.principal)

    @property
    def username(self) -> str | None:
        """The person behind the principal, whose present role counts; None for triggers and the box."""
        return person_of(self.principal)

    @property
    def mqtt_account(self) -> str | None:
        """The MQTT account that gave the command, whose present grant counts; ``*`` is any granted one."""
        kind, _, rest = self.principal.partition(":")
        return rest if kind == "mqtt" and rest else None

    @property
    def who(self) -> dict[str, str | None]:
        """The parameters of ``LOOK``."""
        return {"username": self.username, "account": self.mqtt_account}

    @property
    def has_person(self) -> bool:
        """Whether somebody stands behind it whose present role counts."""
        return self.username is not None or self.mqtt_account is not None


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
