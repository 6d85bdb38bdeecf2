"""Claiming runs: those that are asked for while a claim is under way share the next one."""

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from appliance.runs import sql
from appliance.runs.lending import lent
from appliance.runs.rows import CLAIMED, LEASE, RunRow
from appliance.safety.allstop import of_row

MOST = 64
"""Runs of one statement: more of them only wait longer for the first."""
PATIENCE = 0.05
"""Seconds that others wait for one statement."""
_Asked = tuple[UUID, "asyncio.Future[RunRow | None]"]


class Claims:
    """One statement at a time, for all who wait when the last one ends: a run that comes alone waits for nobody."""

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[Any]], owner: str) -> None:
        self._pool = pool
        self._owner = owner
        self._waiting: list[_Asked] = []
        self._working: asyncio.Task[None] | None = None
        self._claiming: set[asyncio.Task[None]] = set()

    async def take(self, run_id: UUID) -> RunRow | None:
        """The run if it was queued and is ours now; None when somebody else has it or it is not to be run."""
        answer: asyncio.Future[RunRow | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((run_id, answer))
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work())
        return await answer

    async def _work(self) -> None:
        while self._waiting:
            batch = [one for one in self._waiting[:MOST] if not one[1].done()]
            del self._waiting[:MOST]
            # Somebody may hold one run locked for long: that is not the others' business.
            task = asyncio.create_task(self._answer(batch))
            self._claiming.add(task)
            task.add_done_callback(self._claiming.discard)
            await asyncio.wait([task], timeout=PATIENCE)

    async def _answer(self, batch: Sequence[_Asked]) -> None:
        try:
            found = await self._claim([run_id for run_id, _ in batch])
        except BaseException as error:
            for _, answer in batch:
                if not answer.done():
                    answer.set_exception(error)
            if not isinstance(error, Exception):
                raise
        else:
            for run_id, answer in batch:
                if not answer.done():
                    answer.set_result(found.pop(run_id, None))

    async def _claim(self, run_ids: list[UUID]) -> dict[UUID, RunRow]:
        if not run_ids:
            return {}
        values = {"owner": self._owner, "lease": LEASE}
        async with lent(self._pool) as connection:
            cursor = connection.cursor(row_factory=dict_row)
            if len(run_ids) == 1:
                await cursor.execute(sql.CLAIM, {**values, "id": run_ids[0]})
            else:
                await cursor.execute(sql.CLAIM_MANY, {**values, "ids": run_ids})
            return {row["id"]: _read(row) for row in await cursor.fetchall()}


def _read(row: dict[str, Any]) -> RunRow:
    stop = of_row([row[f"stop_{name}"] for name in ("epoch", "level", "since", "by", "reason")])
    return RunRow(**{name: row[name] for name in CLAIMED}, stop=stop, some_away=row["some_away"])
