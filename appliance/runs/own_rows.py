"""What a step of a run may read of that run: its inputs, and the rows of its steps."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection, AsyncCursor
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
    runs = await connection.cursor(row_factory=dict_row).execute(sql.OWN_INPUTS, {"run_id": run_id})
    steps = await steps_sent(connection, run_id)
    run = await runs.fetchone()
    return OwnRows(run["inputs"] if run else {}, tuple(await steps.fetchall()))


async def steps_sent(
    connection: AsyncConnection[Any], run_id: UUID, since: int = 0
) -> AsyncCursor[dict[str, Any]]:
    """The rows of its steps from that position on, to be fetched when what else is asked for was sent too."""
    cursor = connection.cursor(row_factory=dict_row)
    return await cursor.execute(sql.OWN_STEPS, {"run_id": run_id, "since": since})
