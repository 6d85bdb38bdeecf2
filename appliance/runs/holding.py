"""What a run waits for that the gate holds back, and when it asks again. Pure."""

from datetime import datetime, timedelta

from appliance.runs.domain import Waiting
from appliance.runs.walk import Pause
from appliance.safety.gate import Verdict

PLANT_STATE_EVERY = 2.0
HELD_EVERY = 5.0
BUDGET_EVERY = timedelta(minutes=5)
"""A run that waits for room in a budget looks again at least this often: the budget may be another by then."""


def held_by_gate(verdict: Verdict, now: datetime) -> Pause:
    """What the run waits for, and when it asks again."""
    every = HELD_EVERY
    if verdict.waits_for_plant:
        held_by, every = Waiting.PLANT_STATE, PLANT_STATE_EVERY
    elif verdict.waits_for_budget:
        held_by = Waiting.BUDGET
    else:
        held_by = Waiting.POLICY if verdict.waits_for_policy else Waiting.ALL_STOP
    again = now + timedelta(seconds=every)
    until = verdict.until if held_by is Waiting.BUDGET else None
    if until is not None:
        again = min(max(until, now + timedelta(seconds=1)), now + BUDGET_EVERY)
    return Pause(held_by, verdict.reason, again)
