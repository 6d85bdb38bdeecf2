"""Steps whose run is not there: what stands in for a foreign key, which tables that are dropped by days cannot have."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from appliance.lib.identity import uuid_floor
from appliance.runs.invariants import Repaired, Watch

SAYS = "a step belongs to a run"
PIECE = 5000
"""Steps of one look: the next goes on behind them, and after the last one begins anew."""
_PATIENCE = timedelta(minutes=1)
_FIRST = UUID(int=0)
# What lies outside of all days is deleted table by table, so that steps may outlive their run there for a moment.
_PIECE = """
SELECT run_id FROM runs_step WHERE run_id > %(after)s AND run_id < %(before)s
    AND tableoid <> 'runs_step_default'::regclass ORDER BY run_id LIMIT %(limit)s
"""
FINDS = """
SELECT s.run_id FROM unnest(%(ids)s::uuid[]) AS s(run_id)
WHERE NOT EXISTS (SELECT 1 FROM runs_run r WHERE r.id = s.run_id)
"""
_REMOVE = """
DELETE FROM runs_step WHERE run_id = ANY(%(ids)s) RETURNING run_id, step, attempt, state, effect
"""


async def repair(connection: AsyncConnection[Any], watch: Watch) -> Sequence[Repaired]:
    """They are removed, and what they said is on record: it is all that is known of an effect that was lost."""
    values = {
        "after": watch.places.pop(SAYS, _FIRST),
        "before": uuid_floor(watch.now - _PATIENCE),
        "limit": PIECE,
    }
    rows = [row[0] for row in await (await connection.execute(_PIECE, values)).fetchall()]
    if len(rows) == PIECE:
        watch.places[SAYS] = rows[-1]
    ids = list(dict.fromkeys(rows))
    alone = [row[0] for row in await (await connection.execute(FINDS, {"ids": ids})).fetchall()]
    if not alone:
        return []
    said: dict[UUID, list[str]] = {}
    for run, step, attempt, state, effect in await (
        await connection.execute(_REMOVE, {"ids": alone})
    ).fetchall():
        said.setdefault(run, []).append(f"{step} #{attempt} {state} ({effect})")
    return [(run, f"removed: {', '.join(sorted(steps))}") for run, steps in said.items()]
