"""Events in, rows out: one transaction for a whole batch of messages, acknowledged after its commit (P1)."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

from appliance.bus.last import LastValues
from appliance.bus.ports import Delivery
from appliance.bus.services import TopicValue, remember
from appliance.events import OccurrenceRecorded
from appliance.events.services import record_many_async
from appliance.lib.clock import Clock
from appliance.lib.crashpoints import reach
from appliance.lib.errors import MillwrightError
from appliance.lib.identity import uuid7
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.lib.plain import plain_object, plain_text
from appliance.runs import sql
from appliance.runs.chains import chained
from appliance.runs.changes import run_changed
from appliance.runs.domain import RunState
from appliance.runs.followers import identity_of, only_new
from appliance.runs.reflex.committer import Arrival
from appliance.runs.reflex.flight import Launched
from appliance.runs.reflex.lane import ReflexLane
from appliance.runs.services import run_parameters
from appliance.tasks.matching import Armed, Fired, Refused, TriggerTable
from appliance.tasks.ports import NewRun
from appliance.tasks.sql import INSERT_OCCURRENCE

log = logging.getLogger(__name__)

KEEP_TRACES = 20
"""Did-not-trigger traces kept per trigger."""

MOST_UNTOLD = 2000
"""Traces that wait for the next moment in which they are written."""

LONGEST_CHAIN = 8
"""How many runs may start each other by way of events before the chain is cut."""

_COUNT = """
UPDATE tasks_tasktrigger t SET fired = t.fired + n.fired, refused = t.refused + n.refused,
    failed = t.failed + n.failed,
    last_fired_at = CASE WHEN n.fired > 0 THEN %(now)s ELSE t.last_fired_at END
FROM unnest(%(tasks)s::bigint[], %(triggers)s::text[], %(fired)s::int[], %(refused)s::int[], %(failed)s::int[])
    AS n(task_id, trigger, fired, refused, failed)
WHERE t.task_id = n.task_id AND t.trigger = n.trigger
"""
_CHAIN = "SELECT inputs -> 'chain' FROM runs_run WHERE id = %s::uuid"
_TRACE = """
INSERT INTO tasks_nottriggered (task_id, trigger, at, reason, event)
SELECT * FROM unnest(%(tasks)s::bigint[], %(triggers)s::text[], %(ats)s::timestamptz[], %(reasons)s::text[],
    %(events)s::jsonb[])
"""
_PRUNE = """
DELETE FROM tasks_nottriggered WHERE id IN (
    SELECT id FROM (
        SELECT id, row_number() OVER (PARTITION BY task_id, trigger ORDER BY id DESC) AS place
        FROM tasks_nottriggered) ranked
    WHERE place > %(keep)s)
"""


class NotArmed(MillwrightError):
    """What comes before the triggers are loaded stays where it is: an empty table would let it fall."""

    code = "intake.not_armed"
    permanent = False


@dataclass(slots=True)
class Batch:
    """What a batch of events amounts to."""

    fired: list[Fired] = field(default_factory=list)
    launched: list[Fired] = field(default_factory=list)
    """Those of them that are performed in the reflex lane."""
    refused: list[Refused] = field(default_factory=list)

    def take(self, decisions: Sequence[Fired | Refused]) -> None:
        for decision in decisions:
            if isinstance(decision, Fired):
                self.fired.append(decision)
            else:
                self.refused.append(decision)


class Intake:
    """Turns deliveries of the bus into committed occurrences and queued runs."""

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection[Any]],
        clock: Clock,
        hint: Callable[[Sequence[UUID]], None],
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._hint = hint
        self._commits = 0
        self._untold: list[Refused] = []
        self.reflex: ReflexLane | None = None
        """Performs runs of instant steps here; without it every run goes to the workers."""
        self.table: TriggerTable | None = None
        self.last = LastValues()
        self.received = 0

    @property
    def _armed(self) -> TriggerTable:
        if self.table is None:
            raise NotArmed("the triggers are not loaded yet")
        return self.table

    async def deliver(self, deliveries: Sequence[Delivery]) -> None:
        """Commit a batch, acknowledge it, hint. A raised error leaves it unacknowledged: it will come again."""
        now, table = self._clock.now(), self._armed
        batch, values = Batch(), []
        for delivery in deliveries:
            message = delivery.message
            if not message.retain:
                reader = self.last.reader(now)
                found = table.match_message(message.topic, message.payload, now, reader, message.broker)
                found = chained(found, message, LONGEST_CHAIN)
                batch.take([_marked(one) for one in found] if message.dup else found)
            values.append(TopicValue.from_message(message))
            self.last.take(message)
        reach("intake.before_commit")
        if self.reflex is not None:
            launched = self._launch(self.reflex, batch, now)
            run_ids = await self._arrive(self.reflex, batch, now, values, launched)
        else:
            run_ids = await self.commit(batch, now, values)
        reach("intake.after_commit")
        for delivery in deliveries:
            reach("intake.before_ack")
            delivery.ack()
        self.received += len(deliveries)
        reach("intake.after_ack")
        if run_ids:
            self._hint(run_ids)

    @property
    def kinds(self) -> frozenset[str]:
        """The events that any trigger named."""
        return self._armed.kinds

    async def event(self, connection: AsyncConnection[Any], kind: str, data: JsonObject) -> list[UUID]:
        """An event of the journal, in the caller's transaction. The caller hints after its commit."""
        if not self._armed.listens(kind):
            return []
        chain = await _chain_of(connection, data.get("run_id"))
        if chain >= LONGEST_CHAIN:
            log.warning("event %s: a chain of %d runs that start each other is cut", kind, chain)
            return []
        batch, now = Batch(), self._clock.now()
        found = self._armed.match_event(kind, {**data, "chain": chain}, now)
        batch.take(await only_new(connection, found))
        return await self._write(connection, batch, now)

    async def commit(self, batch: Batch, now: datetime, values: Sequence[TopicValue]) -> list[UUID]:
        async with self._pool.connection() as connection, connection.transaction():
            if values:
                await remember(connection, values)
            run_ids = await self._write(connection, batch, now)
        self._commits += 1
        if batch.refused and self._commits % 50 == 0:
            await self.prune()
        return run_ids

    def _launch(self, reflex: ReflexLane, batch: Batch, now: datetime) -> list[Launched]:
        """The runs that are performed here; the others stay in the batch."""
        fired, batch.fired = batch.fired, []
        for one in fired:
            (batch.launched if reflex.takes(one.armed) else batch.fired).append(one)
        return [reflex.launch(_new_run(one), now) for one in batch.launched]

    async def _arrive(
        self,
        reflex: ReflexLane,
        batch: Batch,
        now: datetime,
        values: Sequence[TopicValue],
        launched: list[Launched],
    ) -> Sequence[UUID]:
        """Commit by way of the reflex lane: one statement, together with what its runs have to say."""

        async def write(connection: AsyncConnection[Any]) -> list[UUID]:
            return await self._write_runs(connection, batch, now)

        arrival = Arrival(values, launched, write if batch.fired else None, counter_rows(batch, now))
        run_ids = await reflex.arrive(arrival)
        self._untold += batch.refused
        del self._untold[:-MOST_UNTOLD]
        return run_ids

    async def tell_refused(self) -> None:
        """Write the last "did not trigger" traces; they are kept back, so that no event costs a row."""
        refused, self._untold = self._untold, []
        if refused:
            async with self._pool.connection() as connection:
                await connection.execute(_TRACE, _traces(refused, self._clock.now()))
                await connection.execute(_PRUNE, {"keep": KEEP_TRACES})

    async def prune(self) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(_PRUNE, {"keep": KEEP_TRACES})

    async def _write(self, connection: AsyncConnection[Any], batch: Batch, now: datetime) -> list[UUID]:
        if not batch.fired and not batch.refused:
            return []
        async with connection.pipeline():
            run_ids = await self._write_runs(connection, batch, now)
            await connection.execute(_COUNT, _counters(batch, now))
            if batch.refused:
                await connection.execute(_TRACE, _traces(batch.refused, now))
        return run_ids

    async def _write_runs(self, connection: AsyncConnection[Any], batch: Batch, now: datetime) -> list[UUID]:
        """The occurrences and queued runs of the worker lane."""
        runs = [_new_run(fired) for fired in batch.fired]
        if runs:
            async with connection.pipeline():
                cursor = connection.cursor()
                await cursor.executemany(INSERT_OCCURRENCE, [_occurrence(r, now) for r in runs])
                await cursor.executemany(sql.INSERT_RUN, [run_parameters(r, now) for r in runs])
                await record_many_async(connection, _events(runs))
        return [run.id for run in runs]


def _marked(decision: Fired | Refused) -> Fired | Refused:
    """The broker sends it a second time: it may have been taken the first time, just before a crash."""
    if isinstance(decision, Refused):
        return decision
    event = decision.inputs.get("event")
    marked = {**(event if isinstance(event, dict) else {}), "redelivered": True}
    return replace(
        decision, inputs={**decision.inputs, "event": marked}, reason=f"{decision.reason}, sent again"
    )


async def _chain_of(connection: AsyncConnection[Any], run_id: JsonValue) -> int:
    """How many runs started each other before the one that this event tells of."""
    if not isinstance(run_id, str):
        return 0
    cursor = await connection.execute(_CHAIN, (run_id,))
    row = await cursor.fetchone()
    return row[0] if row and isinstance(row[0], int) else 0


def _new_run(fired: Fired) -> NewRun:
    armed = fired.armed
    event = fired.inputs.get("event")
    chain = event.get("chain") if isinstance(event, dict) else None
    depth = chain + 1 if isinstance(chain, int) else 0
    return NewRun(
        id=uuid7(),
        task_id=armed.task_id,
        version_id=armed.version_id,
        definition=armed.definition,
        principal=f"trigger:{armed.definition.name}/{armed.trigger.id}",
        origin=armed.trigger.kind,
        trigger=armed.trigger.id or "",
        inputs={**plain_object(fired.inputs), "chain": depth},
        reason=fired.reason,
        occurrence_id=identity_of(fired) or uuid7(),
    )


def _occurrence(run: NewRun, now: datetime) -> dict[str, Any]:
    return {
        "id": run.occurrence_id,
        "task_id": run.task_id,
        "trigger": run.trigger,
        "due_at": now,
        "state": "fired",
        "reason": run.reason[:500],
        "event": Jsonb(run.inputs),
        "run_id": run.id,
    }


def _events(runs: Sequence[NewRun]) -> list[Any]:
    events: list[Any] = []
    for run in runs:
        name = run.definition.name
        events.append(
            OccurrenceRecorded(
                occurrence_id=str(run.occurrence_id),
                task=name,
                trigger=run.trigger,
                state="fired",
                run_id=str(run.id),
            )
        )
        events.append(run_changed(run.id, name, RunState.QUEUED, None, run.reason, run.principal))
    return events


def _counts(batch: Batch) -> dict[tuple[int, str], list[int]]:
    """Fired, refused and failed by task and trigger."""
    counts: dict[tuple[int, str], list[int]] = {}

    def of(armed: Armed) -> list[int]:
        return counts.setdefault((armed.task_id, armed.trigger.id or ""), [0, 0, 0])

    for fired in (*batch.fired, *batch.launched):
        of(fired.armed)[0] += 1
    for refused in batch.refused:
        of(refused.armed)[2 if refused.failed else 1] += 1
    return counts


def counter_rows(batch: Batch, now: datetime) -> list[JsonObject]:
    """The same as rows for the reflex lane's commit."""
    at = now.isoformat()
    return [
        {"task_id": task, "trigger": trigger, "fired": f, "refused": r, "failed": e, "at": at}
        for (task, trigger), (f, r, e) in sorted(_counts(batch).items())
    ]


def _counters(batch: Batch, now: datetime) -> dict[str, Any]:
    counts = _counts(batch)
    keys = sorted(counts)
    return {
        "now": now,
        "tasks": [key[0] for key in keys],
        "triggers": [key[1] for key in keys],
        "fired": [counts[key][0] for key in keys],
        "refused": [counts[key][1] for key in keys],
        "failed": [counts[key][2] for key in keys],
    }


def _traces(refused: Sequence[Refused], now: datetime) -> dict[str, Any]:
    """The last few of the batch per trigger: never a row per event."""
    last: dict[tuple[int, str], list[Refused]] = {}
    for item in refused:
        kept = last.setdefault((item.armed.task_id, item.armed.trigger.id or ""), [])
        kept.append(item)
        del kept[:-KEEP_TRACES]
    rows = [item for items in last.values() for item in items]
    return {
        "tasks": [item.armed.task_id for item in rows],
        "triggers": [item.armed.trigger.id or "" for item in rows],
        "ats": [now for _ in rows],
        "reasons": [plain_text(item.reason) for item in rows],
        "events": [Jsonb(plain_object(item.event)) for item in rows],
    }
