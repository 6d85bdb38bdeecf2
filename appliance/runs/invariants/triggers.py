"""The beat's own hint did not come, or did not find its trigger: the schedule is looked at by itself too."""

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection

from appliance.lib.in_django import in_django
from appliance.runs.invariants import Repaired, Watch
from appliance.tasks.doors import look_at_all

SAYS = "an enabled time trigger has its next due time"
FINDS = """
SELECT t.name || '/' || g.trigger FROM tasks_tasktrigger g JOIN tasks_task t ON t.id = g.task_id
WHERE g.active AND t.enabled AND (
    (g.kind IN ('cron', 'every') AND g.next_due IS NULL)
    OR g.next_due < now() - interval '5 minutes')
"""
BY_ITSELF = True
"""What is due may be much, and each run that it starts is a transaction of its own."""


async def repair(connection: AsyncConnection[Any], watch: Watch) -> Sequence[Repaired]:
    """Look at all that is due, always; those count that were silent and are not any more."""
    before = await _silent(connection)
    await in_django(look_at_all, watch.now)
    left = await _silent(connection) if before else []
    return [(one, "looked at") for one in before if one not in left]


async def _silent(connection: AsyncConnection[Any]) -> list[str]:
    return [row[0] for row in await (await connection.execute(FINDS)).fetchall()]
