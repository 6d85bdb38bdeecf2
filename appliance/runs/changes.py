"""The event that a run is in another state now."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from appliance.events import RunChanged
from appliance.runs.domain import RunState, Waiting


def run_changed(
    run_id: UUID, task: str, state: RunState, waiting_for: Waiting | None, reason: str, principal: str = ""
) -> RunChanged:
    return RunChanged(
        run_id=str(run_id),
        task=task,
        state=state.value,
        waiting_for=waiting_for.value if waiting_for else "",
        reason=reason[:1000],
        principal=principal,
    )


async def names_of(connection: AsyncConnection[Any], tasks: Sequence[int]) -> dict[int, str]:
    """The names of tasks by their keys; one that was deleted has none."""
    cursor = await connection.execute("SELECT id, name FROM tasks_task WHERE id = ANY(%s)", (list(tasks),))
    return dict(await cursor.fetchall())
