"""Where a run of the worker lane stands before its target: asked before it acts, kept with what came of its step."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from appliance.runs import away, sql
from appliance.runs.away import Place
from appliance.runs.domain import StepState
from appliance.runs.ledger import Ledger
from appliance.runs.lending import lent
from appliance.runs.rows import LeaseLost, RunRow
from appliance.runs.walk import Walk


class Places:
    """Nothing is asked of the database while no run waits for any target."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def of_claimed(self, row: RunRow) -> str:
        """The target in whose line a run stands that was claimed now."""
        if not row.some_away:
            return ""
        async with lent(self._ledger.pool) as connection:
            return await away.target_of(connection, row.id)

    async def is_behind(self, walk: Walk, target: str) -> bool:
        """Whether the run has to wait until older ones are done with this target. A place before another is given up.

        Raises LeaseLost.
        """
        if walk.in_line and walk.in_line != target:
            await self._give_up(walk)
        if not (target and walk.some_away):
            return False
        async with lent(self._ledger.pool) as connection:
            return await away.is_behind(connection, walk.row.id, target)

    async def _give_up(self, walk: Walk) -> None:
        async with self._ledger.transaction() as connection:
            held = await connection.execute(sql.HELD, walk.lease.parameters)
            if await held.fetchone() is None:
                raise LeaseLost(f"run {walk.row.id} is held by another worker")
            queued = await away.leave(connection, walk.row.id, walk.in_line)
        walk.in_line = ""
        self._ledger.on_queued(queued)


async def keep(
    connection: AsyncConnection[Any], walk: Walk, state: StepState, place: Place | None
) -> Sequence[UUID]:
    """Take the place, in the transaction of the step's result; with a step that is over leave the one that the run had.

    Gives who is queued by that. ``moved`` follows the commit.
    """
    if place is not None:
        await away.join(connection, walk.row.id, place)
    elif walk.in_line and state is not StepState.WAITING:
        return await away.leave(connection, walk.row.id, walk.in_line)
    return ()


def moved(walk: Walk, state: StepState, place: Place | None) -> None:
    """What ``keep`` did is committed."""
    if place is not None:
        walk.in_line = place.target
    elif state is not StepState.WAITING:
        walk.in_line = ""
