"""Runs many runs at once on one asyncio loop: leases, deadlines, cancellation and drain are its own."""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from psycopg import Error as DatabaseError
from psycopg_pool import PoolTimeout

from appliance.lib.clock import Clock, Moment
from appliance.lib.crashpoints import reach
from appliance.runs.background import forever, once
from appliance.runs.domain import Lease
from appliance.runs.ledger import Ledger
from appliance.runs.performer import Performer
from appliance.runs.rows import LeaseLost, RunRow, StepWrite
from appliance.runs.taking import Taking
from appliance.safety.allstop import Level, current_async
from appliance.safety.stop import StopFile

log = logging.getLogger(__name__)

RENEW_EVERY = 3.0
SWEEP_EVERY = 1.0
STOP_EVERY = 0.5
STOP_FILE_EVERY = 0.1
"""Seconds between two looks at the file of the all-stop, which whoever engages it writes first."""


class Ending(StrEnum):
    """Why a run's work is ended from outside."""

    PERSON = "person"
    ALL_STOP = "all_stop"


@dataclass(slots=True)
class _Active:
    task: "asyncio.Task[None]"
    lease: Lease | None = None
    ended_by: Ending | None = None


class Executor:
    """``attend(run_id)`` is all that a hint may ask: look at the run, and do what its row says.

    Hints may be lost, doubled or late: a sweep looks for queued runs each second.
    """

    def __init__(
        self,
        ledger: Ledger,
        performer: Performer,
        clock: Clock,
        *,
        concurrency: int = 64,
        stop_file: StopFile | None = None,
    ) -> None:
        self._ledger = ledger
        self._performer = performer
        self._clock = clock
        self._concurrency = concurrency
        self._active: dict[UUID, _Active] = {}
        self._again: set[UUID] = set()
        self._draining = False
        self._stopped_epoch = -1
        self._stop_file = stop_file
        self._stopped_by_file = False
        self._background: list[asyncio.Task[None]] = []
        self._taking = Taking(self._following, self._room, self._take)
        self._looking: asyncio.Task[None] | None = None
        self._look_again = False
        ledger.on_queued = self._take_up

    async def start(self) -> None:
        self._background = [
            asyncio.create_task(forever(self._renew, RENEW_EVERY)),
            asyncio.create_task(forever(self._taking.look, SWEEP_EVERY)),
            asyncio.create_task(forever(self._watch_stop, STOP_EVERY)),
            asyncio.create_task(forever(self._watch_stop_file, STOP_FILE_EVERY)),
        ]

    async def drain(self, grace: float, farewell: float = 0.0) -> None:
        """Take nothing new, give active runs ``grace`` seconds, then leave the rest to recovery.

        In the ``farewell`` seconds before that commands are asked to end with their state kept, and no run begins
        another step: it is given back.
        """
        self._draining = True
        await self._wait_for_all(grace)
        if farewell and self._active:
            self._performer.leaving.say()
            await self._wait_for_all(farewell)
        self._background += [task for task in (self._taking.catching_up, self._looking) if task is not None]
        ending = [*self._background, *(active.task for active in self._active.values())]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    async def _wait_for_all(self, seconds: float) -> None:
        tasks = [active.task for active in self._active.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)

    @property
    def active(self) -> int:
        return len(self._active)

    def attend(self, run_id: UUID) -> None:
        """Look at this run soon. Must be called on the executor's loop."""
        if run_id in self._active:
            self._again.add(run_id)
        elif not self._draining:
            self._taking.hear(run_id)

    def _room(self) -> int:
        return 0 if self._draining else self._concurrency - len(self._active)

    async def _following(self, room: int) -> tuple[list[UUID], bool]:
        return await self._ledger.queued(list(self._active), room)

    def _take(self, run_id: UUID) -> None:
        if run_id not in self._active:
            self._active[run_id] = _Active(asyncio.create_task(self._run(run_id)))

    def _take_up(self, run_ids: Sequence[UUID]) -> None:
        for run_id in run_ids:
            self.attend(run_id)

    async def _run(self, run_id: UUID) -> None:
        try:
            asked = Moment.of(self._clock)
            row = await self._ledger.claim(run_id)
            if row is not None:
                reach("worker.after_claim")
                await self._perform(row, asked)
        except LeaseLost as lost:
            log.warning("%s", lost)
        except (DatabaseError, PoolTimeout, OSError) as error:
            # The lease runs out and recovery queues the run again; nothing is decided without the database.
            log.warning("run %s left to recovery: %s", run_id, error)
        except asyncio.CancelledError:
            log.info("run %s left to recovery: the worker stops", run_id)
        except Exception:
            log.exception("run %s left to recovery", run_id)
        finally:
            self._active.pop(run_id, None)
            self._ledger.releasing.discard(run_id)
            if run_id in self._again:
                self._again.discard(run_id)
                self.attend(run_id)
            else:
                self._taking.go_on()

    async def _perform(self, row: RunRow, claimed: Moment) -> None:
        lease = Lease(row.id, self._ledger.owner, row.epoch, claimed, row.shard_of)
        active = self._active[row.id]
        active.lease = lease
        kept: list[StepWrite] = []
        work = asyncio.create_task(self._performer.perform(row, lease, kept))
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await work
            if active.ended_by is Ending.PERSON:
                await self._performer.cancelled(row, lease, kept)
            elif active.ended_by is Ending.ALL_STOP:
                await self._performer.held(row, lease, kept)
            else:
                with contextlib.suppress(LeaseLost, DatabaseError, PoolTimeout, OSError):
                    await self._performer.left(row, lease, kept)
                raise

    async def _renew(self) -> None:
        held = {run_id: a for run_id, a in self._active.items() if a.lease is not None}
        if not held:
            return
        still = await self._ledger.renew([a.lease for a in held.values() if a.lease])
        for run_id, active in held.items():
            if self._active.get(run_id) is not active or run_id in self._ledger.releasing:
                continue
            if run_id not in still:
                log.warning("run %s: lease lost, its work is stopped", run_id)
                active.task.cancel()
            elif still[run_id]:
                self._end(active, Ending.PERSON)

    def _end(self, active: _Active, by: Ending) -> None:
        if active.ended_by is None and active.lease is not None:
            active.ended_by = by
            active.task.cancel()

    async def _watch_stop(self) -> None:
        """At level ``kill`` and above what is under way is ended; each run then says what became of it."""
        if not self._active:
            return
        async with self._ledger.pool.connection() as connection:
            stop = await current_async(connection)
        if stop.at_least(Level.KILL) and stop.epoch != self._stopped_epoch:
            self._stopped_epoch = stop.epoch
            self._end_all()

    async def _watch_stop_file(self) -> None:
        """The same by the file: sooner, and with the database away."""
        kills = self._stop_file is not None and self._stop_file.level().rank >= Level.KILL.rank
        if kills and not self._stopped_by_file:
            self._end_all()
        self._stopped_by_file = kills

    def _end_all(self) -> None:
        for active in self._active.values():
            self._end(active, Ending.ALL_STOP)

    def look_at(self, run_ids: Sequence[UUID]) -> None:
        """What a hint does: take the runs up, or see that the cancellation of one was asked for."""
        if any(run_id in self._active for run_id in run_ids):
            self._look_again = True
            if self._looking is None or self._looking.done():
                self._looking = asyncio.create_task(self._look())
        for run_id in run_ids:
            if run_id not in self._active:
                self.attend(run_id)

    async def _look(self) -> None:
        while self._look_again:
            self._look_again = False
            await once(self._renew)
