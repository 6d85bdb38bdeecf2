"""``agent_propose``: keep a task that an agent proposes, for people to look at. It changes no task."""

from django.db import transaction

from appliance.accounts.domain import Role
from appliance.accounts.present import principal_named
from appliance.actions.contract import ActionKind, EffectClass, Params, StepContext, StepResult
from appliance.agent.errors import ProposalRefused
from appliance.lib.errors import MillwrightError
from appliance.lib.identity import uuid_at
from appliance.lib.in_django import in_django
from appliance.lib.jsontypes import JsonObject, JsonValue


class AgentProposeParams(Params):
    text: str
    """One task, as in a file. No template in it is read here."""
    why: str
    """What it is for."""


class AgentProposeAction(ActionKind[AgentProposeParams]):
    name = "agent_propose"
    params = AgentProposeParams
    for_authors = False
    default_timeout = 30.0

    def effect(self, params: AgentProposeParams) -> EffectClass:
        """The same step is the same proposal."""
        return EffectClass.KEYED

    async def perform(self, arguments: JsonObject, context: StepContext) -> StepResult:
        try:
            return StepResult.ok(await in_django(_propose, arguments, context))
        except MillwrightError as error:
            return StepResult.failed(str(error), retryable=False)


def _propose(arguments: JsonObject, context: StepContext) -> JsonValue:
    from appliance.agent.proposals.services import Wanted, propose

    by = principal_named(context.principal, Role(context.ceiling))
    if by is None:
        raise ProposalRefused(f"{context.principal} is nobody who may propose anything now")
    wanted = Wanted(
        id=uuid_at(context.run_started_at, "proposal", context.key),
        text=str(arguments["text"]),
        why=str(arguments["why"]),
        run_id=context.run_id,
        step=context.step_id,
        by_task=context.task_name,
    )
    with transaction.atomic():
        context.fence.hold_here()
        row = propose(wanted, by, context.now)
    return {
        "proposal": str(row.pk),
        "task": row.task,
        "principal": row.ceiling,
        "state": "a person looks at it: nothing has changed yet",
    }
