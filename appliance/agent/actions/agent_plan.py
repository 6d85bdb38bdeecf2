"""``agent_plan``: ask people about all calls of one turn at once. Made by an agent's growth, never written."""

from dataclasses import replace
from typing import Any

from psycopg import AsyncConnection

from appliance.accounts.principal import is_person
from appliance.actions.contract import StepContext
from appliance.runs.actions.approval import ApprovalAction, ApprovalParams
from appliance.safety.approvals.domain import Terms
from appliance.safety.policy.keeper import versions_in_force
from appliance.safety.policy.vocabulary import OwnAgent


class AgentPlanAction(ApprovalAction):
    """An approval like any other; only that nobody has to be asked whether it may ask.

    It stands for what the gate asks of each call, so it is void under another policy, as those would be.
    """

    name = "agent_plan"
    params = ApprovalParams
    for_authors = False

    def terms(self, terms: Terms, context: StepContext) -> Terms:
        """Who asked the agent may answer where that is for them in general; the gate looks at each call once more."""
        own = context.own_agent is not OwnAgent.NEVER and is_person(context.principal)
        return replace(terms, self_approval=terms.self_approval and own)

    async def policy(self, connection: AsyncConnection[Any]) -> str:
        return await versions_in_force(connection)
