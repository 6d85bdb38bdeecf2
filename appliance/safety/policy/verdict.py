"""What a policy answers, and how the answers of several layers become one."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta

from appliance.accounts.domain import Role
from appliance.safety.policy.vocabulary import Answer, Layer

DEFAULT = "default"
"""The name under which a layer answers where none of its rules matches."""

ASKED = Role.OPERATOR
"""Who may decide where a rule that asks names nobody."""


@dataclass(frozen=True, slots=True)
class PolicyVerdict:
    """What the policy answers, by which rule of which layer; ``approvers`` and ``expires`` belong to ASK."""

    answer: Answer
    rule: str
    layer: Layer
    version: int
    reason: str = ""
    approvers: Role | None = None
    expires: timedelta | None = None

    @property
    def name(self) -> str:
        """As people and records name it: ``box/no-reboot``."""
        return f"{self.layer}/{self.rule}"


def strictest(verdicts: Iterable[PolicyVerdict]) -> PolicyVerdict:
    """The stricter answer wins, the earlier layer where two say the same.

    Where several ask, the highest role decides and the shortest time counts.
    """
    found = list(verdicts)
    chosen = max(found, key=lambda one: one.answer.strictness)
    if chosen.answer is not Answer.ASK:
        return chosen
    asking = [one for one in found if one.answer is Answer.ASK]
    if len(asking) == 1:
        return chosen
    approvers = max((one.approvers or ASKED for one in asking), key=lambda role: role.rank)
    expires = min((one.expires for one in asking if one.expires is not None), default=None)
    return replace(chosen, approvers=approvers, expires=expires)
