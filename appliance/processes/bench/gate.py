"""What the whole gate costs as the worker lane calls it, with policy, budgets and plant, on the database of the box."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from appliance.bus.services import read_state
from appliance.lib.clock import SystemClock
from appliance.processes.bench.box import Box
from appliance.processes.bench.policy import CALM, MODE, busy_gate
from appliance.processes.bench.rows import Row, percentile
from appliance.processes.parts import open_pool
from appliance.runs.ledger import Ledger
from appliance.runs.plant import PlantAnswers
from appliance.safety.action import Action
from appliance.safety.budgets.services import charge
from appliance.safety.gate import Decision, Gate

DECISIONS = 500
PATIENCE = 10.0


class _Once:
    """One action through the gate, in the steps of ``runs.recorder``; gives the seconds it took."""

    def __init__(self, gate: Gate, plant: PlantAnswers, connection: AsyncConnection[Any]) -> None:
        self._gate, self._plant, self._connection = gate, plant, connection

    async def __call__(self, action: Action) -> float:
        began = time.perf_counter()
        look = self._gate.seen(action, CALM) or await self._gate.look(self._connection, action)
        verdict = self._gate.decide(await self._plant.answered(action), look.stop, look.role)
        decided = time.perf_counter() - began
        if verdict.outcome is not Decision.ALLOW or not verdict.charges:
            raise RuntimeError(f"the gate said {verdict.outcome}: {verdict.reason}")
        return decided + await self._paying(action, verdict.charges)

    async def _paying(self, action: Action, charges: Sequence[Any]) -> float:
        """The lane pays in the statement that writes its intent; alone it is a round trip more, so this is too much."""
        async with self._connection.transaction(force_rollback=True):
            began = time.perf_counter()
            await charge(self._connection, charges, SystemClock().now(), action.run_id)
            return time.perf_counter() - began


async def _known(connection: AsyncConnection[Any], patience: float) -> None:
    until = time.monotonic() + patience
    while await read_state(connection, MODE, None, SystemClock().now()) is None:
        if time.monotonic() > until:
            raise RuntimeError(f"the box does not know the last value of {MODE}")
        await asyncio.sleep(0.05)


async def through_the_gate(
    pool: AsyncConnectionPool[Any], home: Path, decisions: int = DECISIONS, patience: float = PATIENCE
) -> list[float]:
    """Seconds of each decision. Raises RuntimeError where the plant's state is not known after ``patience`` seconds."""
    gate, actions = busy_gate(home)
    plant = PlantAnswers(Ledger(pool, "bench"), gate, SystemClock())
    async with pool.connection() as connection:
        await _known(connection, patience)
        once = _Once(gate, plant, connection)
        return [await once(action) for action in actions[:decisions]]


async def _seconds(box: Box) -> list[float]:
    pool = await open_pool(box.config)
    try:
        return await through_the_gate(pool, box.home)
    finally:
        await pool.close()


def gate(box: Box) -> list[Row]:
    """Beside the statements that the lane sends anyway: one that reads the plant, one for the budgets."""
    box.publish([(MODE, b'"auto"')])
    taken = asyncio.run(_seconds(box))
    return [
        Row("gate_worker_p50_us", round(percentile(taken, 0.5) * 1e6), "us", "lower", 300),
        Row("gate_worker_p99_us", round(percentile(taken, 0.99) * 1e6), "us", "lower"),
    ]
