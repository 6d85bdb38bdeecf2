"""How long proposals are kept: one that nobody decides on is closed with a word, and decided ones go some day."""

from datetime import datetime, timedelta

from django.db import transaction

from appliance.accounts.principal import BOX
from appliance.agent.models import AgentProposal, ProposalState
from appliance.agent.proposals.settling import settle
from appliance.lib.said import say

WAITS = timedelta(days=14)
"""After that what the agent had seen is long gone: it may propose again."""


def tidy(now: datetime, keep: timedelta) -> None:
    """Close what has waited too long, and delete what was decided longer than ``keep`` ago."""
    expire(now)
    AgentProposal.objects.exclude(state=ProposalState.OPEN.value).filter(decided_at__lt=now - keep).delete()


@transaction.atomic
def expire(now: datetime) -> int:
    """How many were closed; each is on record. One that somebody decides on at this moment is theirs."""
    waiting = AgentProposal.objects.filter(state=ProposalState.OPEN.value, created_at__lt=now - WAITS)
    rows = list(waiting.defer("text").select_for_update(skip_locked=True))
    why = say("nobody has decided on it for %(days)d days", days=WAITS.days)
    for row in rows:
        settle(row, ProposalState.EXPIRED, BOX.name, now, why=why)
    return len(rows)
