"""What a group of intents costs, and which of them a commit has paid for."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from appliance.lib.clock import Clock
from appliance.runs.reflex.intent import Intent
from appliance.safety.budgets.domain import Charge, Key
from appliance.safety.budgets.services import encoded

MOST_KNOWN = 10_000


def together(intents: Iterable[Intent]) -> list[Charge]:
    """One charge for each count that the intents meet, in a fixed order."""
    found: dict[Key, Charge] = {}
    for intent in intents:
        for one in intent.charges:
            known = found.get(one.key)
            found[one.key] = replace(one, amount=known.amount + one.amount) if known else one
    return list(found.values())


def parameters(charges: Sequence[Charge], at: datetime) -> dict[str, Any]:
    """What the commit takes."""
    return {"charges": encoded(charges), "charged_at": at if charges else None}


class Purse:
    """Several intents may share what was granted to them together: the first come, the first served.

    An intent that finds no room in one budget was perhaps counted in another: a budget is never exceeded, and now and
    then not quite used. Where no room was found, nothing is asked again before there is some: such runs go to a worker.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._granted: dict[Key, float] = {}
        self._closed: dict[Key, datetime] = {}

    def paid(self, charges: Sequence[Charge], rows: Sequence[dict[str, Any]] | None) -> None:
        """Take what a commit says of its charges. None, where it cannot say: nothing was granted."""
        self._granted = {}
        if len(self._closed) > MOST_KNOWN:
            self._closed.clear()
        for row in rows or ():
            key = charges[row["place"]].key
            self._granted[key] = row["granted"] or 0
            if row["free_at"]:
                self._closed[key] = datetime.fromisoformat(row["free_at"])

    def has_room(self, charges: Sequence[Charge]) -> bool:
        """Whether nothing is known to be used up: asked before an intent is written."""
        if not charges or not self._closed:
            return True
        now = self._clock.now()
        return all(self._closed.get(one.key, now) <= now for one in charges)

    def take(self, charges: Sequence[Charge]) -> bool:
        """Whether the commit has paid for this intent; asked once for each."""
        for one in charges:
            left = self._granted.get(one.key)
            if left is None or left < one.amount or (not one.amount and not self.has_room([one])):
                return False
        for one in charges:
            self._granted[one.key] -= one.amount
        return True
