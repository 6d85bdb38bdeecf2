"""``agent_plan``: ask people about all calls of one turn at once. Made by an agent's growth, never written."""

from appliance.runs.actions.approval import ApprovalAction, ApprovalParams


class AgentPlanAction(ApprovalAction):
    """An approval like any other; only that nobody has to be asked whether it may ask."""

    name = "agent_plan"
    params = ApprovalParams
    for_authors = False
