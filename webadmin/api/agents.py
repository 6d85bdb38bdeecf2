"""What agents did, over HTTP: part of the addresses of runs."""

from uuid import UUID

from django.http import HttpRequest
from ninja import Router

from appliance.accounts.domain import Ability
from appliance.agent.explaining import as_json
from appliance.agent.explaining.services import agents, explain
from appliance.agent.undoing import undo
from webadmin.api.agent_schemas import AgentOut, ExplainedOut, UndoIn, UndoOut
from webadmin.api.auth import caller

router = Router(tags=["runs"])


@router.get("/{run_id}/agent", response=list[AgentOut], summary="The agents of a run, turn after turn")
def get_agents(request: HttpRequest, run_id: UUID) -> list[AgentOut]:
    """In the order in which they began; of an agent's own run that one."""
    by = caller(request, Ability.VIEW).principal
    return [AgentOut.model_validate(as_json.agent(one)) for one in agents(run_id, by)]


@router.get(
    "/{run_id}/agent/{step}/turns/{number}", response=ExplainedOut, summary="One turn of an agent, explained"
)
def get_turn(request: HttpRequest, run_id: UUID, step: str, number: int) -> ExplainedOut:
    """With what was sent to the model and what came back. Its text is untrusted: show it as text."""
    by = caller(request, Ability.VIEW).principal
    return ExplainedOut.model_validate(as_json.explained(explain(run_id, step, number, by)))


@router.post("/{run_id}/agent/undo", response={202: UndoOut}, summary="Take back what an ended agent did")
def undo_agent(request: HttpRequest, run_id: UUID, body: UndoIn) -> UndoOut:
    """``run_id`` is the agent's own run. Calls without a way back stay as they are."""
    by = caller(request, Ability.RUN_TASKS, somewhere=True).principal
    return UndoOut(steps=list(undo(run_id, by, body.turn)))
