"""A run that was acknowledged and whose row cannot be written: its occurrence and the audit record say so."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from appliance.audit.services import AuditEntry, append_async
from appliance.runs.reflex import sql


@dataclass(frozen=True, slots=True)
class LostRun:
    """``because`` is what stood in the way, for a person."""

    run_id: UUID
    occurrence_id: UUID
    task: str
    trigger: str
    because: str

    @property
    def reason(self) -> str:
        return f"its run could not be kept, look at what it did: {self.because}"


async def put_on_record(connection: AsyncConnection[Any], lost: LostRun) -> None:
    """In the caller's transaction. The occurrence stays, fired and without a run; nobody looks for one again."""
    await connection.execute(sql.HAS_NO_RUN, {"id": lost.occurrence_id, "reason": lost.reason[:500]})
    detail = {
        "task": lost.task,
        "trigger": lost.trigger,
        "occurrence": str(lost.occurrence_id),
        "reason": lost.because[:500],
    }
    await append_async(connection, [AuditEntry("run.lost", "box", str(lost.run_id), detail)])


def writing(lost: LostRun) -> Callable[[AsyncConnection[Any]], Coroutine[Any, Any, list[UUID]]]:
    """The same, as a group commit takes it."""

    async def write(connection: AsyncConnection[Any]) -> list[UUID]:
        await put_on_record(connection, lost)
        return []

    return write
