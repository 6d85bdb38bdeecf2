"""What an agent did and why, for pages, the API and commands: asked for by whoever may look at runs."""

from collections.abc import Sequence
from uuid import UUID

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.agent.conversations.whose import is_hidden_from
from appliance.agent.domain import turn_id
from appliance.agent.errors import AgentNotFound
from appliance.agent.explaining.building import view_of
from appliance.agent.explaining.domain import AgentView, Explained
from appliance.agent.explaining.marks import pieces
from appliance.agent.explaining.offering import with_ways_back
from appliance.agent.explaining.rows import agents_of, transcript
from appliance.runs.models import Run, Split
from appliance.runs.services import get


def agents_in(runs: Sequence[Run], by: Principal, splits: Sequence[Split] | None = None) -> list[AgentView]:
    """The agents of runs that have been read already, with the ``splits`` of all of them where those have been: a
    constant number of queries."""
    by.require(Ability.VIEW)
    return [view_of(rows) for rows in with_ways_back(agents_of(runs, splits))]


def agents(run_id: UUID, by: Principal) -> list[AgentView]:
    """The agents of a run, or the one whose own run it is, in the order in which they began. Raises RunNotFound,
    NotAllowed."""
    by.require(Ability.VIEW)
    return agents_in([get(run_id)], by)


def explain(run_id: UUID, step: str, number: int, by: Principal) -> Explained:
    """One turn of the agent of ``step`` (its last attempt), with what was sent and what came back.

    What a conversation was like is for who takes part in it, and for who may read the audit record. Raises RunNotFound,
    AgentNotFound, NotAllowed.
    """
    by.require(Ability.VIEW)
    found = [one for one in agents(run_id, by) if one.step == step]
    if not found:
        raise AgentNotFound(f"run {run_id} has no agent {step!r}")
    agent = found[-1]
    turn = next((one for one in agent.turns if one.number == number), None)
    if turn is None:
        raise AgentNotFound(f"the agent {step!r} of run {run_id} has had no turn {number}")
    sent, came = transcript(agent.run_id, turn_id(number))
    if is_hidden_from(by, agent.run_id):
        return Explained(agent, turn, (), came, withheld=True)
    return Explained(agent, turn, pieces(sent), came)
