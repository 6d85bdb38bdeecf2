"""The group commit: one loop, and one commit for everything that waits when the last one ends."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from uuid import UUID

from appliance.lib.clock import Clock
from appliance.runs.reflex.arrival import Arrival
from appliance.runs.reflex.asking import opening
from appliance.runs.reflex.flight import Flight
from appliance.runs.reflex.group import Group
from appliance.runs.reflex.horizon import Horizon
from appliance.runs.reflex.intent import Intent
from appliance.runs.reflex.line import Known
from appliance.runs.reflex.lost import LostRun, writing
from appliance.runs.reflex.owed import Owed
from appliance.runs.reflex.purse import Purse, together
from appliance.runs.reflex.writer import Fenced, GroupWriter, WriteRuns
from appliance.safety.allstop import AllStop

log = logging.getLogger(__name__)

COMPANY = 0.004
"""Seconds that runs which have landed wait for something more urgent, to share its commit."""


class Committer:
    """``on_intent`` is called for each intent that is committed now; ``on_commit`` with landed runs.

    ``on_lost`` is called with one that will have no row.
    """

    def __init__(
        self,
        writer: GroupWriter,
        clock: Clock,
        on_intent: Callable[[Flight, Intent], None],
        on_commit: Callable[[Sequence[Flight]], None],
        owed: Owed,
        on_lost: Callable[[UUID], None] = lambda run_id: None,
    ) -> None:
        self._writer = writer
        self._clock = clock
        self._on_intent = on_intent
        self._on_commit = on_commit
        self._on_lost = on_lost
        self._arrivals: list[Arrival] = []
        self._intents: list[tuple[Flight, Intent]] = []
        self._landed: list[Flight] = []
        self.owed = owed
        self.purse = Purse(clock)
        """What the last commit has paid for."""
        self._aloft: dict[UUID, Flight] = {}
        self._horizon = Horizon(clock.now())
        self._mending = False
        self._wake = asyncio.Event()
        self._later: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def stop(self) -> AllStop:
        """The switch as the last commit saw it."""
        return self._writer.stop

    @property
    def lines(self) -> Known:
        """The lines before targets that are away, as the last commit knows them."""
        return self._writer.lines

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
        """A run has come to its end. Nobody waits for its rows, so they wait a moment for company."""
        self._landed.append(flight)
        self._poke_soon()

    def mend(self) -> None:
        """The database has lost commits: the loop writes them again."""
        self._mending = True
        self._poke()

    def _poke_soon(self) -> None:
        self._idle.clear()
        if self._later is None:
            self._later = asyncio.get_running_loop().call_later(COMPANY, self._poke)

    def _poke(self) -> None:
        if self._later is not None:
            self._later.cancel()
            self._later = None
        self._idle.clear()
        self._wake.set()

    async def settled(self) -> None:
        """Return when nothing waits and nothing is in the air."""
        while self._aloft or not self._idle.is_set():
            await self._idle.wait()
            await asyncio.sleep(0.005)

    # --- life ---------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Commit group after group until cancelled."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                if self._mending:
                    await self._mend()
                await self._turn()
                if not (self._arrivals or self._intents or self._landed or self.owed):
                    self._idle.set()
        finally:
            await self._writer.close()

    async def _mend(self) -> None:
        self._mending = False
        try:
            await self._writer.mend()
        except Fenced:
            raise
        except Exception:
            log.exception("lost commits could not be written again; the next flush tries anew")

    async def _turn(self) -> None:
        arrivals, self._arrivals = self._arrivals, []
        intents, self._intents = self._intents, []
        landed, self._landed = self._landed, []
        if not (arrivals or intents or landed or self.owed):
            return
        try:
            await self._commit_all(arrivals, intents, landed)
        except Exception as error:
            try:
                if isinstance(error, Fenced):
                    raise
                log.exception("a group of %d arrivals could not be committed", len(arrivals))
                await self._salvage(intents, landed)
                if len(arrivals) > 1 or intents or landed:
                    await self._one_by_one(arrivals)
            finally:
                for arrival in arrivals:
                    arrival.refuse(error)

    async def _one_by_one(self, arrivals: Sequence[Arrival]) -> None:
        """One row of their group was at fault: none is refused for the sake of another broker's message, or of a run
        that was in the air."""
        for arrival in arrivals:
            try:
                await self._commit_all([arrival], [], [])
            except Fenced:
                raise
            except Exception as error:
                arrival.refuse(error)

    async def _commit_all(
        self,
        arrivals: Sequence[Arrival],
        intents: Sequence[tuple[Flight, Intent]],
        landed: Sequence[Flight],
    ) -> None:
        """One commit, and what follows from it. Where it fails nothing of the arrivals is left in the air."""
        group = Group(
            values=[value for arrival in arrivals for value in arrival.values],
            counters=[row for arrival in arrivals for row in arrival.counters],
            queued=[run for arrival in arrivals for run in arrival.queued],
            # Lists of its own: what is launched below is not salvaged, it comes again with its message.
            intents=list(intents),
            landed=list(landed),
        )
        for arrival in arrivals:
            for flight, intent in arrival.launched:
                group.launched.append(flight)
                self._aloft[flight.occurrence_id] = flight
                if intent is None:
                    group.landed.append(flight)
                else:
                    group.intents.append((flight, intent))
        try:
            run_ids = await self._commit(group, [arrival.write for arrival in arrivals if arrival.write])
        except Exception:
            for flight in group.launched:
                self._aloft.pop(flight.occurrence_id, None)
            raise
        self._after(group)
        for arrival in arrivals:
            arrival.accept(run_ids)

    def _after(self, group: Group) -> None:
        """The commit stands: what may act now acts."""
        self.purse.paid(together(intent for _, intent in group.intents), self._writer.charged)
        for flight in group.landed:
            self._aloft.pop(flight.occurrence_id, None)
        for flight, intent in group.intents:
            self._on_intent(flight, intent)
        if group.landed:
            self._on_commit(group.landed)

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
                for flight in (*(flight for flight, _ in group.intents), *group.landed):
                    await self._without_rows(flight, error)
            else:
                self._after(group)

    async def _without_rows(self, flight: Flight, error: Exception) -> None:
        """Hand it over by its own row alone; where not even that can be written, put on record that it is lost."""
        if flight.is_bare:
            log.error(
                "run %s of the reflex lane is lost: its row cannot be written", flight.run_id, exc_info=error
            )
            run = flight.run
            lost = LostRun(run.id, flight.occurrence_id, run.definition.name, run.trigger, f"{error}")
            self._aloft.pop(flight.occurrence_id, None)
            self._on_lost(run.id)
            await self._commit(Group(), [writing(lost)])
            return
        log.error("run %s is handed over: its rows cannot be written", flight.run_id, exc_info=error)
        flight.writes.clear()
        flight.outbox.clear()
        flight.escalations.clear()
        flight.refused.clear()
        flight.is_bare = True
        flight.hand_over(f"its rows could not be written: {type(error).__name__}")
        self._landed.append(flight)
        self._wake.set()

    async def _commit(self, group: Group, writes: Sequence[WriteRuns]) -> list[UUID]:
        if any(flight.escalations for flight in group.landed):
            writes = [*writes, opening(group.landed)]
        run_ids = await self.owed.commit(
            group, lambda one: self._write(one, writes if one is group else ()), bool(writes)
        )
        if self.owed:
            self._poke_soon()
        return run_ids

    async def _write(self, group: Group, writes: Sequence[WriteRuns]) -> list[UUID]:
        now = self._clock.now()
        launched = [flight.occurrence_id for flight in group.launched]
        settled = self._horizon.below(self._aloft, launched, now)
        return await self._writer.write(group.parameters(now), settled, writes, hurry=bool(group.queued))
