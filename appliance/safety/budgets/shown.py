"""The budgets in force with what is spent of them, for people and programs that look."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from appliance.lib.duration import format_duration
from appliance.safety.budgets.domain import What
from appliance.safety.budgets.services import Spent, spent
from appliance.safety.policy.services import policy_in_force

MOST = 100


@dataclass(frozen=True, slots=True)
class BudgetUse:
    """One amount of one budget; ``whose`` is the task or principal that it is counted for, ``used`` what is spent."""

    rule: str
    whose: str
    what: What
    used: float
    most: float | None
    per: str
    then: str

    @property
    def share(self) -> int:
        """In percent, at most 100."""
        return min(100, round(100 * self.used / self.most)) if self.most else 0


def uses(now: datetime) -> list[BudgetUse]:
    """What has been spent lately, and every budget of the policy also where nothing was. Raises PolicyUnreadable."""
    by_rule: dict[str, list[Spent]] = defaultdict(list)
    for one in spent():
        if now - one.touched_at < timedelta(seconds=one.key.span):
            by_rule[one.key.subject.partition("|")[0]].append(one)
    found: list[BudgetUse] = []
    for layer in policy_in_force().layers:
        for budget in layer.budgets:
            purse, amounts = budget.purse, budget.purse.amounts
            most = {
                What.EFFECTS: amounts.effects,
                What.TIME: amounts.time.total_seconds() if amounts.time else None,
                What.TOKENS: amounts.tokens,
                What.SAME: amounts.same,
            }
            counts = by_rule.pop(purse.rule, [])
            for what, limit in most.items():
                if limit is not None:
                    rows = [one for one in counts if one.key.what is what]
                    found += _rows(
                        purse.rule, what, limit, format_duration(amounts.per), amounts.then.value, rows
                    )
    for rule, counts in by_rule.items():
        found += [
            _row(rule, one.key.what, None, format_duration(timedelta(seconds=one.key.span)), "", one)
            for one in counts
        ]
    return found[:MOST]


def _rows(
    rule: str, what: What, most: float, per: str, then: str, counts: Sequence[Spent]
) -> list[BudgetUse]:
    if not counts:
        return [BudgetUse(rule, "", what, 0, most, per, then)]
    return [_row(rule, what, most, per, then, one) for one in counts]


def _row(rule: str, what: What, most: float | None, per: str, then: str, one: Spent) -> BudgetUse:
    return BudgetUse(rule, one.key.subject.partition("|")[2], what, one.used, most, per, then)
