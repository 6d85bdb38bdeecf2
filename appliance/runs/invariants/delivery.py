"""A run waits for a receipt that nobody will bring: it came, its word to the run was lost, or its message is gone."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from appliance.outbox.ports import OutboxItem
from appliance.runs import sql
from appliance.runs.domain import StepState, Waiting
from appliance.runs.invariants import AT_ONCE, Repaired, Watch

SAYS = "a run that waits for delivery has one under way"
FINDS = """
SELECT r.id, s.step, coalesce(s.shared_from, r.id) FROM runs_run r
LEFT JOIN runs_step s ON s.run_id = r.id AND s.state = 'handed_over'
WHERE r.state = 'waiting' AND r.waiting_for = 'delivery' AND r.id > %(after)s ORDER BY r.id LIMIT %(limit)s
"""
_THERE = "SELECT id, told FROM outbox_item WHERE id = ANY(%(ids)s)"
# Asked again in one look at both tables: whoever tells a run says so of the message afterwards.
_TELL_AGAIN = """
UPDATE outbox_item SET told = false WHERE id = %(id)s AND told AND state IN ('delivered', 'failed', 'expired')
    AND EXISTS (SELECT 1 FROM runs_step s WHERE s.run_id = %(run)s AND s.step = %(step)s AND s.state = 'handed_over')
RETURNING id
"""
GONE = "its message is not in the outbox any more: whether it was delivered is not known"
_FIRST = UUID(int=0)


async def repair(connection: AsyncConnection[Any], watch: Watch) -> Sequence[Repaired]:
    after = watch.places.pop(SAYS, _FIRST)
    rows = await (await connection.execute(FINDS, {"after": after, "limit": AT_ONCE})).fetchall()
    if len(rows) == AT_ONCE:
        watch.places[SAYS] = rows[-1][0]
    items = {(run, step): _item(of, step) for run, step, of in rows if step is not None}
    there = dict(await (await connection.execute(_THERE, {"ids": list(items.values())})).fetchall())
    done: list[Repaired] = []
    for run, step, _ in rows:
        if step is None:
            if await _wake(connection, run):
                done.append((run, "queued"))
            continue
        item = items[run, step]
        if item not in there:
            if await _fail(connection, run, step):
                done.append((run, f"step {step} failed: {GONE}"))
        elif there[item]:
            values = {"id": item, "run": run, "step": step}
            if await (await connection.execute(_TELL_AGAIN, values)).fetchone():
                done.append((run, f"told again what became of the message of step {step}"))
    return done


def _item(run_id: UUID, step: str) -> UUID:
    """The outbox's identifier of the one message of a step."""
    return OutboxItem(key=f"{run_id}/{step}", platform="", message={}, run_id=run_id).id


async def _wake(connection: AsyncConnection[Any], run: UUID) -> bool:
    values = {"id": run, "waiting_for": Waiting.DELIVERY.value}
    return await (await connection.execute(sql.WAKE_ONE, values)).fetchone() is not None


async def _fail(connection: AsyncConnection[Any], run: UUID, step: str) -> bool:
    """As a receipt that says no: the run goes on with what its task says of a step that failed."""
    values = {
        "run_id": run,
        "step": step,
        "state": StepState.FAILED.value,
        "error": GONE,
        "detail": Jsonb({}),
    }
    if await (await connection.execute(sql.RECEIPT, values)).fetchone() is None:
        return False
    await _wake(connection, run)
    return True
