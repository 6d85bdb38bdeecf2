"""Verdicts that need not be found again."""

from appliance.accounts.domain import Role
from appliance.safety.action import Action
from appliance.safety.policy.decision import Policy
from appliance.safety.stop import AllStop
from appliance.safety.verdict import Verdict

Basis = tuple[AllStop, Policy | None, int, int]
"""All that a verdict is founded on besides the action: the switch, the policy, and the epochs at which
it and what restrains the box were read."""


class Standing:
    """Verdicts that hold for every action of a kind of a task, as long as their basis stands."""

    _MOST = 4096

    def __init__(self) -> None:
        self._basis: Basis | None = None
        self._known: dict[tuple[object, ...], Verdict] = {}

    def find(self, action: Action, role: Role | None, basis: Basis) -> Verdict | None:
        """None too where the plant, the task's budget or an agent's mode has a say."""
        special = action.plant is not None or action.budget is not None or action.risk
        if basis != self._basis or special or action.proposed:
            return None
        return self._known.get(_key(action, role))

    def keep(self, action: Action, role: Role | None, basis: Basis, verdict: Verdict) -> None:
        if basis != self._basis or len(self._known) >= self._MOST:
            self._basis, self._known = basis, {}
        self._known[_key(action, role)] = verdict


def _key(action: Action, role: Role | None) -> tuple[object, ...]:
    who = (action.principal, action.ceiling, role)
    return (action.kind, action.acts, action.origin, action.also, action.task, *who)
