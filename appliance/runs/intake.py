"""Events in, rows out: one transaction for a whole batch of messages, acknowledged after its commit (P1)."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from appliance.bus.last import LastValues
from appliance.bus.ports import Delivery
from appliance.bus.services import TopicValue, remember
from appliance.bus.values import read_payload
from appliance.devices.readings.recorder import Recorder
from appliance.events.services import record_many_async
from appliance.lib.clock import Clock
from appliance.lib.crashpoints import reach
from appliance.lib.errors import MillwrightError
from appliance.lib.jsontypes import JsonObject
from appliance.runs import holds, sql, tally
from appliance.runs.admission import admit, governed
from appliance.runs.admission_sql import HOLD_BACK
from appliance.runs.asking import answer_async
from appliance.runs.chains import chained, handing_down, led_to
from appliance.runs.fired import acknowledge, events_of, marked, new_run, occurrence_row
from appliance.runs.followers import only_new
from appliance.runs.lending import lent
from appliance.runs.reflex.arrival import Arrival
from appliance.runs.reflex.flight import Launched
from appliance.runs.reflex.lane import ReflexLane
from appliance.runs.reflex.writer import WriteRuns
from appliance.runs.services import run_parameters
from appliance.runs.tally import Batch, beyond_limit
from appliance.tasks.matching import Fired, Refused, TriggerTable
from appliance.tasks.sql import INSERT_OCCURRENCE

log = logging.getLogger(__name__)

MOST_UNTOLD = 2000
"""Traces that wait for the next moment in which they are written."""

LONGEST_CHAIN = 8
"""How many runs may start each other by way of events before the chain is cut."""


class NotArmed(MillwrightError):
    """What comes before the triggers are loaded stays where it is: an empty table would let it fall."""

    code = "intake.not_armed"
    permanent = False


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
        self.recorder: Recorder | None = None
        """Keeps the history of readings, where there is one."""
        self.received = 0

    @property
    def _armed(self) -> TriggerTable:
        if self.table is None:
            raise NotArmed("the triggers are not loaded yet")
        return self.table

    async def deliver(self, deliveries: Sequence[Delivery]) -> None:
        """Commit a batch, acknowledge it, hint. A raised error leaves it unacknowledged: it will come again.

        Where commits do not wait for the disk, the acknowledgement does, after this has returned.
        """
        now, table = self._clock.now(), self._armed
        batch, values = Batch(), []
        for delivery in deliveries:
            message = delivery.message
            content = read_payload(message.payload)
            if not message.retain:
                reader = self.last.reader(now)
                found = table.match_message(
                    message.topic, message.payload, now, reader, message.broker, content
                )
                found = chained(found, message, LONGEST_CHAIN)
                batch.take([marked(one) for one in found] if message.dup else found)
            values.append(TopicValue.from_message(message, content))
            self.last.take(message, content)
            if self.recorder is not None:
                self.recorder.take(message, content)
        reach("intake.before_commit")
        if self.reflex is not None:
            launched = self._launch(self.reflex, batch, now)
            run_ids = await self._arrive(self.reflex, batch, now, values, launched)
        else:
            run_ids = await self.commit(batch, now, values)
        reach("intake.after_commit")
        self.received += len(deliveries)
        if self.reflex is not None:
            self.reflex.once_durable(lambda: acknowledge(deliveries))
        else:
            acknowledge(deliveries)
        if run_ids:
            # Before the disk has them too: a worker's claim does not wait for it. The intent of an unsafe step does,
            # and with it for all that was committed before.
            self._hint(run_ids)

    @property
    def kinds(self) -> frozenset[str]:
        """The events that any trigger named."""
        return self._armed.kinds

    async def events(
        self, connection: AsyncConnection[Any], events: Sequence[tuple[str, JsonObject]]
    ) -> list[UUID]:
        """Events of the journal by kind, in the caller's transaction. The caller hints after its commit.

        Written as one batch, so that the tasks' locks are taken in order.
        """
        found: list[Fired | Refused] = []
        now = self._clock.now()
        for kind, data in events:
            if not self._armed.listens(kind):
                continue
            led = await led_to(connection, data.get("run_id"))
            if led.chain >= LONGEST_CHAIN:
                log.warning("event %s: a chain of %d runs that start each other is cut", kind, led.chain)
                continue
            found += handing_down(self._armed.match_event(kind, {**data, "chain": led.chain}, now), led)
        batch = Batch()
        batch.take(await only_new(connection, found))
        return await self._write(connection, batch, now)

    async def commit(self, batch: Batch, now: datetime, values: Sequence[TopicValue]) -> list[UUID]:
        async with lent(self._pool) as connection, connection.transaction():
            if values:
                await remember(connection, values)
            run_ids = await self._write(connection, batch, now)
        self._commits += 1
        if batch.refused and self._commits % 50 == 0:
            await self.prune()
        return run_ids

    def _launch(self, reflex: ReflexLane, batch: Batch, now: datetime) -> list[Launched]:
        """The runs that are performed here. Of the others those stay fired that admission looks at."""
        fired, batch.fired = batch.fired, []
        for one in fired:
            if reflex.takes(one.armed):
                batch.launched.append(one)
            else:
                (batch.fired if governed(one.armed.definition) else batch.queued).append(one)
        return [reflex.launch(new_run(one, now), now) for one in batch.launched]

    async def _arrive(
        self,
        reflex: ReflexLane,
        batch: Batch,
        now: datetime,
        values: Sequence[TopicValue],
        launched: list[Launched],
    ) -> Sequence[UUID]:
        """Commit by way of the reflex lane: one statement, together with what its runs have to say."""

        queued = [new_run(one, now) for one in batch.queued]
        looks = self._looking(batch, now) if batch.fired or batch.held else None
        arrival = Arrival(values, launched, looks, tally.counter_rows(batch, now), queued)
        run_ids = [*(run.id for run in queued), *await reflex.arrive(arrival)]
        self._untold += [*batch.refused, *batch.notes]
        del self._untold[:-MOST_UNTOLD]
        return run_ids

    def _looking(self, batch: Batch, now: datetime) -> WriteRuns:
        """What looks at other rows first, for the transaction of the commit."""
        refused, notes = list(batch.refused), list(batch.notes)

        async def write(connection: AsyncConnection[Any]) -> list[UUID]:
            batch.refused, batch.notes = list(refused), list(notes)  # a second try begins anew
            return await self._write_runs(connection, batch, now)

        return write

    async def tell_refused(self) -> None:
        """Write the last "did not trigger" traces; they are kept back, so that no event costs a row."""
        refused, self._untold = self._untold, []
        if refused:
            async with self._pool.connection() as connection:
                await connection.execute(tally.TRACE, tally.traces(refused, self._clock.now()))
                await connection.execute(tally.PRUNE, {"keep": tally.KEEP_TRACES})

    async def holds_due(self) -> list[UUID]:
        """Fire every hold whose time has come; gives the new runs. The caller hints."""
        table = self._armed
        async with lent(self._pool) as connection:
            if not await holds.any_due(connection):
                return []
            async with connection.transaction():
                batch = Batch(fired=await holds.due(connection, table))
                return await self._write(connection, batch, self._clock.now())

    async def prune(self) -> None:
        await holds.forget(self._pool)
        async with self._pool.connection() as connection:
            await connection.execute(tally.PRUNE, {"keep": tally.KEEP_TRACES})

    async def _write(self, connection: AsyncConnection[Any], batch: Batch, now: datetime) -> list[UUID]:
        if not (batch.fired or batch.refused or batch.held):
            return []
        counted = tally.counts_of(batch)
        async with connection.pipeline():
            run_ids = await self._write_runs(connection, batch, now)
            await connection.execute(tally.COUNT, tally.counters(counted, now))
            told = [*batch.refused, *batch.notes]
            if told:
                await connection.execute(tally.TRACE, tally.traces(told, now))
        return run_ids

    async def _write_runs(self, connection: AsyncConnection[Any], batch: Batch, now: datetime) -> list[UUID]:
        """The holds; the occurrences of the worker lane, and the runs that their tasks' limit and overlap let in."""
        beyond: list[Refused] = []
        if batch.held:
            noted = await answer_async(connection, holds.take(batch.held))
            beyond += noted.refused
            batch.notes += noted.notes
        wanted = [new_run(fired, now) for fired in batch.fired]
        admissions = await answer_async(connection, admit(wanted))
        beyond += beyond_limit(batch.fired, admissions)
        batch.refused += beyond
        seen = [(new, a) for new, a in zip(wanted, admissions, strict=True) if not a.limited]
        runs = [new for new, admission in seen if admission.runs]
        async with connection.pipeline():
            cursor = connection.cursor()
            if seen:
                await cursor.executemany(INSERT_OCCURRENCE, [occurrence_row(new, a, now) for new, a in seen])
                await record_many_async(connection, events_of(seen))
            if runs:
                await cursor.executemany(sql.INSERT_RUN, [run_parameters(r, now) for r in runs])
            held_back = [{"id": new.id} for new, admission in seen if admission.waits]
            if held_back:
                await cursor.executemany(HOLD_BACK, held_back)
            late = tally.late_counts(runs, beyond)
            if late:
                await connection.execute(tally.COUNT, tally.counters(late, now))
        return [run.id for run in runs]
