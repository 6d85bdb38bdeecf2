"""What agents that lead to each other may spend together: the outermost one's budget is all there is.

An agent that runs a task in which another one works counts what that one spends as its own. Each of them keeps what it
has spent in a row for each one above it, so that nobody has to look for who is below.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from appliance.agent.domain import Asked, Budget
from appliance.agent.loop.memory import Memory, placed
from appliance.agent.loop.rows import seen_of
from appliance.agent.loop.story import Story, story_of
from appliance.agent.sql import KEEP_SPENT, PRUNE_SPENT, SPENT_BENEATH
from appliance.runs import own_rows, sql
from appliance.runs.growing import ASKED

DEEPEST = 4
"""How many agents may lead to each other in a row."""


@dataclass(frozen=True, slots=True)
class Spent:
    """``seconds`` are those of work: not of waiting for a run that was called."""

    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0


def own_of(story: Story) -> Spent:
    return Spent(story.steps, story.tokens, story.working)


def with_beneath(story: Story, beneath: Spent) -> Story:
    """The story of an agent that counts what those below it have spent as its own."""
    return replace(
        story,
        steps=story.steps + beneath.steps,
        tokens=story.tokens + beneath.tokens,
        # A call that waited for a run has that run's time already.
        seconds=max(story.seconds, story.working + beneath.seconds),
    )


def narrowed(story: Story, above: Sequence[Story]) -> Story:
    """With no more to spend than each one above has left; ``above`` count what is beneath them."""
    budget = story.asked.budget
    for one in above:
        its = one.asked.budget
        budget = Budget(
            min(budget.steps, max(0, story.steps + its.steps - one.steps - 1)),  # it has to answer itself
            min(budget.tokens, max(0, story.tokens + its.tokens - one.tokens)),
            min(budget.seconds, max(0.0, story.seconds + its.seconds - one.seconds)),
        )
    return replace(story, asked=replace(story.asked, budget=budget), shares=bool(above))


def nothing_left(story: Story, above: Sequence[str]) -> str:
    """Why an agent below another one asks no model any more; empty where it may."""
    if len(above) >= DEEPEST:
        return f"more than {DEEPEST} agents lead to each other"
    budget = story.asked.budget
    used_up = story.steps >= budget.steps or story.tokens >= budget.tokens or story.seconds >= budget.seconds
    return "the agent that led to it has nothing left to spend" if above and used_up else ""


@dataclass(frozen=True, slots=True)
class Purse:
    """What one agent has spent itself, for those ``above`` it, the outermost first."""

    run_id: UUID
    above: tuple[str, ...]
    own: Spent = Spent()

    async def keep(
        self, connection: AsyncConnection[Any], now: datetime, *, tokens: int, seconds: float
    ) -> None:
        """With what a turn has just spent: until its row is committed nobody else counts it."""
        if not self.above:
            return
        own = self.own
        said = {"steps": own.steps + 1, "tokens": own.tokens + tokens, "seconds": own.seconds + seconds}
        await connection.execute(KEEP_SPENT, {**said, "above": [*self.above], "run": self.run_id, "now": now})
        await connection.execute(PRUNE_SPENT, {"now": now})


async def story_in(
    connection: AsyncConnection[Any], run_id: UUID, above: Sequence[str], memory: Memory
) -> tuple[Story, Purse]:
    """What has happened so far, with what it may still spend. ``memory``: of this life of the run."""
    own, spent = await _story(connection, run_id, memory)
    others = [with_beneath(*await _story(connection, one, Memory())) for one in map(UUID, above)]
    return narrowed(with_beneath(own, spent), others), Purse(run_id, tuple(above), own_of(own))


async def _story(connection: AsyncConnection[Any], run_id: UUID, memory: Memory) -> tuple[Story, Spent]:
    """One way there and back: all is asked for before the first is waited for."""
    inputs = await connection.execute(sql.OWN_INPUTS, {"run_id": run_id}) if memory.asked is None else None
    steps = await own_rows.steps_sent(connection, run_id, memory.since)
    beneath = await (await connection.execute(SPENT_BENEATH, {"above": run_id})).fetchone()
    if inputs is not None:
        run = await inputs.fetchone()
        given = run[0].get(ASKED) if run else None
        memory.asked = Asked.of(given if isinstance(given, dict) else {"budget": _NOTHING})
    assert memory.asked is not None
    rows = await steps.fetchall()
    attempts = memory.take(placed(rows, seen_of(rows)))
    story = story_of(memory.asked, attempts, known=memory.past)
    memory.keep(story.past)
    spent = Spent(int(beneath[0]), int(beneath[1]), float(beneath[2])) if beneath else Spent()
    return story, spent


_NOTHING: dict[str, Any] = {"steps": 0, "tokens": 0, "time": 0}
"""The budget of a run whose rows are gone."""
