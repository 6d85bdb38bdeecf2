"""What a step of a run may read of that run: its inputs, and the rows of its steps."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from appliance.lib.jsontypes import JsonObject
from appliance.runs import sql


@dataclass(frozen=True, slots=True)
class OwnRows:
    """``steps``: every attempt at each step, in order, with the columns of its row; work began at ``started_at``."""

    inputs: JsonObject
    steps: tuple[dict[str, Any], ...]


async def read(connection: AsyncConnection[Any], run_id: UUID) -> OwnRows:
    """What is committed; who performs a step has written before what was kept back.

    Both are asked for before the first is waited for: on a connection with a pipeline it is one way there and back.
    """
    runs, steps = connection.cursor(row_factory=dict_row), connection.cursor(row_factory=dict_row)
    await runs.execute(sql.OWN_INPUTS, {"run_id": run_id})
    await steps.execute(sql.OWN_STEPS, {"run_id": run_id})
    run = await runs.fetchone()
    return OwnRows(run["inputs"] if run else {}, tuple(await steps.fetchall()))
