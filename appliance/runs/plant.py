"""Answers what the policy asks of the plant, by the last values that are kept."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from psycopg import AsyncConnection

from appliance.bus.services import read_state
from appliance.lib.clock import Clock
from appliance.runs.ledger import Ledger
from appliance.runs.lending import lent
from appliance.safety.gate import Action, Gate
from appliance.safety.plant_state.domain import stricter, unfulfilled
from appliance.safety.policy.decision import Conditioned


class PlantAnswers:
    """Nothing is read where the policy asks nothing."""

    def __init__(self, ledger: Ledger, gate: Gate, clock: Clock) -> None:
        self._ledger = ledger
        self._gate = gate
        self._clock = clock

    async def answered(self, action: Action, connection: AsyncConnection[Any] | None = None) -> Action:
        """The action with the policy's own conditions answered, beside the task's and the step's.

        Who is in a transaction gives its ``connection``: who holds one and waits for another can starve the pool.
        """
        asked = self._gate.conditions(action)
        if not asked:
            return action
        if connection is not None:
            return await self._read(action, asked, connection)
        async with lent(self._ledger.pool) as own:
            return await self._read(action, asked, own)

    async def _read(
        self, action: Action, asked: Sequence[Conditioned], connection: AsyncConnection[Any]
    ) -> Action:
        now = self._clock.now()
        found = [action.plant] if action.plant else []
        for one in asked:
            value = await read_state(connection, one.rule.state, one.rule.max_age, now)
            closed = unfulfilled(one.rule, one.name, value)
            found += [closed] if closed else []
        return replace(action, plant=stricter(found))
