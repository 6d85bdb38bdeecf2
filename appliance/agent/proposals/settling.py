"""How a proposal ends, and what of it stands on record."""

from datetime import datetime

from appliance.agent.models import AgentProposal, ProposalState
from appliance.audit.services import append_here
from appliance.lib.jsontypes import JsonObject


def settle(
    row: AgentProposal,
    state: ProposalState,
    who: str,
    now: datetime,
    *,
    why: str = "",
    version: int | None = None,
) -> None:
    """Of a row that is locked, and waits; whoever decides was asked whether they may."""
    row.state, row.decided_by, row.decided_at = state.value, who, now
    row.decided_why, row.version = why, version
    row.save(update_fields=["state", "decided_by", "decided_at", "decided_why", "version"])
    detail: JsonObject = {**on_record(row), "version": version, "why": why}
    append_here(f"proposal.{state}", who, row.task, detail)


def on_record(row: AgentProposal) -> JsonObject:
    """What the audit record says of it."""
    return {
        "proposal": str(row.pk),
        "digest": row.digest,
        "base": row.base,
        "ceiling": row.ceiling,
        "run": str(row.run_id),
        "step": row.step,
    }
