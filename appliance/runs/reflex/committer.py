"""The group commit: one loop, one connection, one statement for everything that waits when the last one ends."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection, Rollback
from psycopg import Error as DatabaseError
from psycopg_pool import AsyncConnectionPool

from appliance.bus.batches import is_transient
from appliance.bus.services import TopicValue
from appliance.lib.backoff import delay
from appliance.lib.clock import Clock
from appliance.lib.crashpoints import reach
from appliance.lib.errors import MillwrightError
from appliance.lib.identity import uuid_floor
from appliance.lib.jsontypes import JsonObject
from appliance.runs.reflex import sql
from appliance.runs.reflex.flight import Flight, Intent
from appliance.runs.reflex.group import Group
from appliance.safety.allstop import AllStop, of_row

log = logging.getLogger(__name__)

WriteRuns = Callable[[AsyncConnection[Any]], Awaitable[Sequence[UUID]]]

# The function joins a handful of rows to large tables by their keys. Its plans are kept for the life of the
# connection, and must not be the ones that suit the empty tables of a first start.
_PLANS = """
SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;
SET plan_cache_mode = force_generic_plan
"""
_MARGIN = timedelta(minutes=1)


class Fenced(MillwrightError):
    """Another reactor has taken over; nothing of this one may be written any more (P4)."""

    code = "reflex.fenced"
    permanent = False


@dataclass(slots=True, eq=False)
class Arrival:
    """A batch of events to commit: last values, runs launched here, and runs for the worker lane.

    ``done`` gets the identifiers of the latter when everything is committed.
    """

    values: Sequence[TopicValue]
    launched: list[tuple[Flight, Intent | None]]
    write: WriteRuns | None
    counters: list[JsonObject]
    done: "asyncio.Future[Sequence[UUID]]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Committer:
    """``on_intent`` is called for each intent that is committed now; ``on_commit`` with landed runs."""

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection[Any]],
        clock: Clock,
        on_intent: Callable[[Flight, Intent], None],
        on_commit: Callable[[Sequence[Flight]], None],
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._on_intent = on_intent
        self._on_commit = on_commit
        self._connection: AsyncConnection[Any] | None = None
        self._generation = self._number = 0
        self._arrivals: list[Arrival] = []
        self._intents: list[tuple[Flight, Intent]] = []
        self._landed: list[Flight] = []
        self._aloft: dict[UUID, Flight] = {}
        self._lowest: UUID | None = None
        self._looked_at = clock.now()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.stop = AllStop()

    @property
    def aloft(self) -> int:
        """Runs that were launched and are not committed as landed yet."""
        return len(self._aloft)

    # --- what waits ---------------------------------------------------------------------------------

    async def arrive(self, arrival: Arrival) -> Sequence[UUID]:
        """Return when the arrival is committed. An error that no other try can mend is raised."""
        self._arrivals.append(arrival)
        self._poke()
        return await arrival.done

    def intend(self, flight: Flight, intent: Intent) -> None:
        """A later step of a run in the air."""
        self._intents.append((flight, intent))
        self._poke()

    def land(self, flight: Flight) -> None:
        """A run has come to its end."""
        self._landed.append(flight)
        self._poke()

    def _poke(self) -> None:
        self._idle.clear()
        self._wake.set()

    async def settled(self) -> None:
        """Return when nothing waits and nothing is in the air."""
        while self._aloft or not self._idle.is_set():
            await self._idle.wait()
            await asyncio.sleep(0.005)

    # --- life ---------------------------------------------------------------------------------------

    async def take_over(self) -> UUID:
        """Fence earlier reactors off; gives the identifier below which every occurrence has its run."""
        async with self._pool.connection() as connection, connection.transaction():
            cursor = await connection.execute(sql.BEGIN_GENERATION)
            row = await cursor.fetchone()
            assert row is not None
        self._generation, self._number, settled = row
        return UUID(str(settled))

    async def run(self) -> None:
        """Commit group after group until cancelled."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self._turn()
                if not (self._arrivals or self._intents or self._landed):
                    self._idle.set()
        finally:
            await self._drop_connection()

    async def _turn(self) -> None:
        arrivals, self._arrivals = self._arrivals, []
        intents, self._intents = self._intents, []
        landed, self._landed = self._landed, []
        group = Group(
            values=[value for arrival in arrivals for value in arrival.values],
            counters=[row for arrival in arrivals for row in arrival.counters],
            intents=intents,
            landed=landed,
        )
        for arrival in arrivals:
            for flight, intent in arrival.launched:
                group.launched.append(flight)
                self._aloft[flight.occurrence_id] = flight
                if intent is None:
                    group.landed.append(flight)
                else:
                    group.intents.append((flight, intent))
        writes = [arrival.write for arrival in arrivals if arrival.write]
        try:
            run_ids = await self._commit(group, writes)
        except Exception as error:
            if isinstance(error, Fenced):
                self._refuse(arrivals, group, error)
                raise
            log.exception("a group of %d arrivals could not be committed", len(arrivals))
            self._refuse(arrivals, group, error)
            await self._salvage(intents, landed)
            return
        self._after(group)
        for arrival in arrivals:
            if not arrival.done.done():
                arrival.done.set_result(run_ids)

    def _after(self, group: Group) -> None:
        """The commit stands: what may act now acts."""
        for flight in group.landed:
            self._aloft.pop(flight.occurrence_id, None)
        for flight, intent in group.intents:
            self._on_intent(flight, intent)
        if group.landed:
            self._on_commit(group.landed)

    def _refuse(self, arrivals: Sequence[Arrival], group: Group, error: Exception) -> None:
        for flight in group.launched:
            self._aloft.pop(flight.occurrence_id, None)
        for arrival in arrivals:
            if not arrival.done.done():
                arrival.done.set_exception(error)

    async def _salvage(self, intents: list[tuple[Flight, Intent]], landed: list[Flight]) -> None:
        """One row of the group is at fault: what was in the air goes on one by one, the rest is handed over."""
        for group in (
            *(Group(intents=[one]) for one in intents),
            *(Group(landed=[flight]) for flight in landed),
        ):
            try:
                await self._commit(group, [])
            except Fenced:
                raise
            except Exception as error:
                log.exception("a run of the reflex lane is handed over: its rows cannot be written")
                for flight in (*(flight for flight, _ in group.intents), *group.landed):
                    flight.writes.clear()
                    flight.outbox.clear()
                    flight.hand_over(f"its rows could not be written: {type(error).__name__}")
                    self._landed.append(flight)
                    self._wake.set()
            else:
                self._after(group)

    # --- the statement ------------------------------------------------------------------------------

    async def _commit(self, group: Group, writes: Sequence[WriteRuns]) -> list[UUID]:
        """Commit, trying again while the database is away. Raises Fenced, and what no other try can mend."""
        parameters = group.parameters(self._clock.now())
        parameters |= {
            "generation": self._generation,
            "commit": self._number + 1,
            "settled": self._settled(group),
        }
        reach("reflex.before_commit")
        attempt = 0
        while True:
            try:
                run_ids = await self._once(parameters, writes)
            except Exception as error:
                if not is_transient(error) or isinstance(error, Fenced):
                    raise
                await self._drop_connection()
                attempt += 1
                log.warning("the database is away: %s", error)
                await asyncio.sleep(delay(attempt, base=0.05, cap=2.0))
            else:
                reach("reflex.after_commit")
                self._number += 1
                return run_ids

    async def _once(self, parameters: dict[str, Any], writes: Sequence[WriteRuns]) -> list[UUID]:
        connection = await self._connected()
        if not writes:
            await self._call(connection, parameters)
            return []
        run_ids: list[UUID] = []
        # The function comes last: it locks counters and the head of the audit record, which everybody else locks
        # last too.
        async with connection.transaction() as transaction:
            for write in writes:
                run_ids += await write(connection)
            if not await self._call(connection, parameters):
                raise Rollback(transaction)
            return run_ids
        return []

    async def _call(self, connection: AsyncConnection[Any], parameters: dict[str, Any]) -> bool:
        """Whether this commit is new; False when its first try had arrived after all."""
        cursor = await connection.execute(sql.COMMIT, parameters)
        row = await cursor.fetchone()
        assert row is not None
        if row[0] == "fenced":
            raise Fenced("another reactor has taken the reflex lane over")
        self.stop = of_row(row[1:])
        return bool(row[0] == "done")

    def _settled(self, group: Group) -> UUID:
        """Every occurrence below it has its run once this commit stands."""
        now = self._clock.now()
        if now - self._looked_at > timedelta(seconds=1):
            self._lowest, self._looked_at = None, now
        if self._lowest is None:
            self._lowest = min(self._aloft, default=None)
        for flight in group.launched:
            if self._lowest is None or flight.occurrence_id < self._lowest:
                self._lowest = flight.occurrence_id
        floor = uuid_floor(now - _MARGIN)
        return floor if self._lowest is None else min(self._lowest, floor)

    async def _connected(self) -> AsyncConnection[Any]:
        if self._connection is None:
            connection = await self._pool.getconn()
            try:
                await connection.execute(_PLANS)
            except BaseException:
                await self._pool.putconn(connection)
                raise
            self._connection = connection
        return self._connection

    async def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(DatabaseError):
                await connection.close()
            await self._pool.putconn(connection)
