"""What an effect costs, and what came of paying for it: pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from appliance.lib.digest import canonical_json, sha256_hex
from appliance.lib.duration import format_duration
from appliance.lib.jsontypes import JsonMapping, JsonObject
from appliance.safety.budgets.model import Amounts, BudgetRule, Each, Then
from appliance.safety.policy.vocabulary import Origin

RULE = "budget."
"""What a verdict's rule begins with where a budget decided."""

AGENT_REPEATS = BudgetRule(
    id="agent-repeats",
    origin=(Origin.AGENT,),
    same=5,
    per=timedelta(minutes=10),
    then=Then.DENY,
    reason="an agent goes round in circles",
)
"""Stands in every box policy that has no budget of this name: an agent that does the same thing again and again is
stopped. Nothing else is guarded against repeats unless somebody asks: a cron task repeats itself by design."""


class What(StrEnum):
    """What is counted."""

    EFFECTS = "effects"
    TIME = "time"
    TOKENS = "tokens"
    SAME = "same"


@dataclass(frozen=True, slots=True)
class Key:
    """One count: of whom, of what, and over how many seconds."""

    subject: str
    what: What
    span: int


@dataclass(frozen=True, slots=True)
class Charge:
    """What an effect adds to one count, which may come to ``most``. An amount of 0 asks whether there is room at all:
    time and tokens are known only afterwards."""

    key: Key
    amount: float
    most: float
    rule: str
    then: Then
    task: str = ""
    reason: str = ""
    principal: str = ""

    def to_json(self, place: int, run_id: str = "") -> JsonObject:
        """As ``safety_charge`` takes it."""
        return {
            "run_id": run_id,
            "place": place,
            "subject": self.key.subject,
            "what": self.key.what.value,
            "span": self.key.span,
            "amount": self.amount,
            "most": self.most,
            "rule": self.rule,
            "task": self.task,
            "principal": self.principal,
            "then": self.then.value,
            "reason": self.sentence,
        }

    @property
    def sentence(self) -> str:
        """What people read when it is used up."""
        unit = {What.TIME: f"{self.most:g} s of work", What.TOKENS: f"{self.most:g} tokens"}
        same = f"{self.most:g} times the same action"
        amount = {**unit, What.SAME: same, What.EFFECTS: f"{self.most:g} effects"}[self.key.what]
        said = f"{self.reason}: " if self.reason else ""
        return (
            f"{said}the budget of {amount} per {format_duration(timedelta(seconds=self.key.span))} is used up"
        )


@dataclass(frozen=True, slots=True)
class Over:
    """A charge for which there was no room; there is again at ``free_at``. ``news``: nobody was told of it yet."""

    charge: Charge
    used: float
    free_at: datetime
    news: bool


@dataclass(frozen=True, slots=True)
class Purse:
    """A budget as the gate holds it."""

    rule: str
    amounts: Amounts
    each: Each
    reason: str = ""

    def charges(self, kind: str, arguments: JsonMapping, task: str, principal: str) -> list[Charge]:
        """What one action costs."""
        amounts, whose = self.amounts, {Each.BOX: "", Each.TASK: task, Each.PRINCIPAL: principal}[self.each]
        subject = f"{self.rule}|{whose}"
        found = []
        if amounts.effects is not None:
            found.append(self._charge(subject, What.EFFECTS, 1, amounts.effects, task, principal))
        if amounts.time is not None:
            found.append(self._charge(subject, What.TIME, 0, amounts.time.total_seconds(), task, principal))
        if amounts.tokens is not None:
            found.append(self._charge(subject, What.TOKENS, 0, amounts.tokens, task, principal))
        if amounts.same is not None:
            digest = sha256_hex(canonical_json([task, principal, kind, dict(arguments)]))
            found.append(self._charge(f"{self.rule}|{digest}", What.SAME, 1, amounts.same, task, principal))
        return found

    def _charge(
        self, subject: str, what: What, amount: float, most: float, task: str, principal: str
    ) -> Charge:
        key = Key(subject[:300], what, int(self.amounts.per.total_seconds()))
        rule, then = f"{RULE}{self.rule}", self.amounts.then
        return Charge(key, amount, most, rule, then, task, self.reason, principal)


def afterwards(charges: Iterable[Charge], spent: Mapping[What, float]) -> tuple[Charge, ...]:
    """Those of what is known only when it is spent."""
    return tuple(one for one in charges if one.key.what in spent)


def strictest(over: Sequence[Over]) -> Over:
    """The one that decides: a denial before a hold, then the one that lasts longest."""
    return max(over, key=lambda one: (one.charge.then is Then.DENY, one.free_at))
