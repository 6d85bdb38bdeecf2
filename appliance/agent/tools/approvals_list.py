"""``approvals.list``: what waits for a person's word. To give one is no tool: no agent approves anything."""

from appliance.accounts.domain import Ability
from appliance.agent.tools.contract import Arguments, Asking, QueryTool
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.safety.approvals.models import Approval
from appliance.safety.approvals.services import open_ones

MOST = 30
LONGEST = 600


class ApprovalsListArguments(Arguments):
    task: str = ""
    """Of this task only."""


class ApprovalsListTool(QueryTool[ApprovalsListArguments]):
    name = "approvals.list"
    says = "List what waits for a person's approval: which step of which run, since when, and until when."
    arguments = ApprovalsListArguments
    example = {"task": "restart_pump"}

    def answer(self, given: ApprovalsListArguments, asking: Asking) -> JsonValue:
        found = [
            one
            for one in open_ones(asking.now)
            if given.task in ("", one.task) and asking.by.can(Ability.VIEW, task=one.task)
        ]
        return [_row(one) for one in found[:MOST]]


def _row(one: Approval) -> JsonObject:
    """Without its code, by which it could be given."""
    return {
        "task": one.task,
        "run": str(one.run_id),
        "step": one.step,
        "asks": one.shown[:LONGEST],
        "because": one.reason[:200],
        "approvers": one.approvers,
        "since": f"{one.created_at:%Y-%m-%dT%H:%M:%SZ}",
        "until": f"{one.expires_at:%Y-%m-%dT%H:%M:%SZ}",
    }
