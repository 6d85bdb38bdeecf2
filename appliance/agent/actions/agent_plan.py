"""``agent_plan``: ask people about all calls of one turn at once. Made by an agent's growth, never written."""

from typing import Any

from psycopg import AsyncConnection

from appliance.runs.actions.approval import ApprovalAction, ApprovalParams
from appliance.safety.policy.keeper import versions_in_force


class AgentPlanAction(ApprovalAction):
    """An approval like any other; only that nobody has to be asked whether it may ask.

    It stands for what the gate asks of each call, so it is void under another policy, as those would be.
    """

    name = "agent_plan"
    params = ApprovalParams
    for_authors = False

    async def policy(self, connection: AsyncConnection[Any]) -> str:
        return await versions_in_force(connection)
