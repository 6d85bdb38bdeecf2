"""Keeps what steps save of themselves while they run, and gives the last one back (P5)."""

import json
import logging
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from psycopg import Error as DatabaseError
from psycopg.types.json import Jsonb
from psycopg_pool import PoolTimeout

from appliance.actions.contract import ActionRefused, Form, StepContext
from appliance.lib.digest import canonical_json, sha256_hex
from appliance.lib.jsontypes import JsonObject
from appliance.lib.plain import plain_object
from appliance.runs import resume_sql
from appliance.runs.domain import Lease
from appliance.runs.ledger import Ledger
from appliance.runs.plan import Next
from appliance.runs.rows import LeaseLost
from appliance.runs.walk import Walk

log = logging.getLogger(__name__)

MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Kept:
    """The last checkpoint of a step."""

    form: Form
    content: bytes

    @property
    def state(self) -> JsonObject:
        """What an action saved; nothing where a command kept a file."""
        found = json.loads(self.content) if self.form is Form.JSON else {}
        return found if isinstance(found, dict) else {}

    @property
    def file(self) -> bytes | None:
        return self.content if self.form is Form.FILE else None


class CheckpointStore:
    """The rows of checkpoints. Reading needs no lease, writing does (P4)."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def steps_with(self, run_id: UUID) -> set[str]:
        """The steps of a run that have one: asked once in each life of a run that had an earlier one."""
        async with self._ledger.pool.connection() as connection:
            cursor = await connection.execute(resume_sql.CHECKPOINTED, {"run_id": run_id})
            return {row[0] for row in await cursor.fetchall()}

    async def last(self, run_id: UUID, step: str) -> Kept | None:
        async with self._ledger.pool.connection() as connection:
            cursor = await connection.execute(resume_sql.LAST_CHECKPOINT, {"run_id": run_id, "step": step})
            row = await cursor.fetchone()
        return Kept(Form(row[0]), bytes(row[1])) if row else None

    async def write(
        self, lease: Lease, step: str, attempt: int, kept: Kept, keep: int, state: JsonObject | None
    ) -> None:
        """Keep one more, and only the newest ``keep`` of this step. Raises LeaseLost."""
        values: dict[str, Any] = {
            "run_id": lease.run_id,
            "epoch": lease.epoch,
            "owner": lease.owner,
            "step": step,
            "attempt": attempt,
            "digest": sha256_hex(kept.content),
            "form": kept.form.value,
            "size": len(kept.content),
            "content": kept.content,
            "keep": keep,
            "state": Jsonb(state) if state is not None else None,
        }
        async with self._ledger.transaction() as connection:
            cursor = await connection.execute(resume_sql.SAVE_CHECKPOINT, values)
            await connection.execute(resume_sql.PRUNE_CHECKPOINTS, values)
            if state is not None:
                await connection.execute(resume_sql.STATE_OF_STEP, values)
            if await cursor.fetchone() is None:
                raise LeaseLost(f"run {lease.run_id} is held by another worker")


@dataclass(slots=True)
class StepCheckpoints:
    """What one life of one step may save; implements ``appliance.actions.contract.Checkpoints``.

    A database that is away costs a version, not the step: what could not be written is tried again with the
    next one, and at the end.
    """

    store: CheckpointStore
    lease: Lease
    step: str
    attempt: int
    keep: int
    limit: int
    checkpointed: set[str]
    last_file: bytes | None = None
    _waiting: list[tuple[Kept, JsonObject | None]] = field(default_factory=list)

    async def save(self, state: JsonObject) -> None:
        washed = plain_object(state)
        content = canonical_json(washed)
        if len(content) > self.limit:
            raise ActionRefused(f"a checkpoint of {len(content)} bytes; at most {self.limit} are kept")
        await self._write(Kept(Form.JSON, content), washed)

    async def save_file(self, content: bytes) -> None:
        await self._write(Kept(Form.FILE, content), None)

    async def flush(self) -> None:
        for kept, state in self._waiting:
            await self._write(kept, state)

    async def _write(self, kept: Kept, state: JsonObject | None) -> None:
        try:
            await self.store.write(self.lease, self.step, self.attempt, kept, self.keep, state)
        except (DatabaseError, PoolTimeout, OSError) as error:
            log.warning("run %s, step %s: checkpoint not kept yet: %s", self.lease.run_id, self.step, error)
            self._waiting = [(kept, state)]
        else:
            self._waiting = []
            self.checkpointed.add(self.step)


async def with_checkpoints(
    store: CheckpointStore, walk: Walk, following: Next, context: StepContext
) -> tuple[StepContext, StepCheckpoints]:
    """The context of a step with its last checkpoint in it, and the place for more of them."""
    step, rules = following.spec.id, walk.definition.checkpoints
    last = await store.last(walk.row.id, step) if step in walk.checkpointed else None
    saved = StepCheckpoints(
        store, walk.lease, step, following.attempt, rules.keep, rules.limit * MEBIBYTE, walk.checkpointed
    )
    state = {**(last.state if last else {}), **(following.resumed_from or {})}
    saved.last_file = last.file if last else None
    return replace(context, resumed_from=state or following.resumed_from, checkpoints=saved), saved
