"""The model: whatever two workers, people, the clock and crashes do in whatever order, these rules hold."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from appliance.accounts.domain import Role
from appliance.accounts.principal import BOX, Principal
from appliance.runs import services
from appliance.runs.domain import FINAL
from appliance.safety import allstop
from appliance.safety.stop import Level
from tests.integration.runs.model.fates import Fate
from tests.integration.runs.model.house import TASK
from tests.integration.runs.model.invariants import ROWS, STEPS, Invariants

WORKERS, WHICH = st.integers(0, 1), st.integers(0, 9)
STALLS = st.sampled_from((Fate.STALLS_UNPROVEN, Fate.STALLS_BEFORE, Fate.STALLS_AFTER))
THEN = st.sampled_from((Fate.GOES_ON, Fate.STALLS_AFTER))
MOST_RUNS = 3
"""Few, so that much happens to each."""
EVERY = timedelta(seconds=60)
"""Of the schedule."""


class RunsMachine(Invariants):
    """What may happen, and what each of it must and must not do."""

    # --- what may happen ----------------------------------------------------------------------------

    def those(self, *states: str) -> list[UUID]:
        """The runs in one of these states (or that wait for one of these things) after the last step."""
        return [
            run for run, row in self.last.items() if row["state"] in states or row["waiting_for"] in states
        ]

    @initialize()
    def load(self) -> None:
        self.wait(self.house.engine.load(TASK))
        self.wait(self.house.forget_the_last_look())
        self.start()

    @precondition(lambda self: len(self.started) < MOST_RUNS)
    @rule()
    def start(self) -> None:
        self.started.append(self.wait(self.house.engine.start("t")))

    @precondition(lambda self: self.those("queued"))
    @rule(which=WHICH, worker=WORKERS, fate=st.sampled_from(Fate), at=st.sampled_from("abc"))
    def work(self, which: int, worker: int, fate: Fate, at: str) -> None:
        queued = self.those("queued")
        run = queued[which % len(queued)]
        done = sum(self.house.effects.values())
        assert self.wait(self.house.work(worker, run, fate, at)), "what is queued can be claimed"
        assert self.row(run)["epoch"] == self.last[run]["epoch"] + 1
        if self.stopped:
            assert sum(self.house.effects.values()) == done, "an effect though all is stopped"

    @precondition(lambda self: self.house.stalled)
    @rule(which=WHICH)
    def wake_a_stalled_worker(self, which: int) -> None:
        """Which writes only where it holds the run still."""
        stalled = self.house.stalled[which % len(self.house.stalled)]
        run = self.row(stalled.lease.run_id)
        fresh = (run["state"], run["epoch"]) == ("running", stalled.lease.epoch)
        rows, steps, effects = self.sql(ROWS), self.sql(STEPS), sum(self.house.effects.values())
        unproven = stalled.fate is Fate.STALLS_UNPROVEN
        assert self.wait(self.house.wake(stalled)) == fresh, (
            "a stale worker got through, or a fresh one did not"
        )
        if not fresh:
            assert (self.sql(ROWS), self.sql(STEPS)) == (rows, steps), "a stale worker wrote"
            if unproven:
                assert sum(self.house.effects.values()) == effects, "a stale worker acted before it looked"

    @precondition(lambda self: self.those("queued"))
    @rule(which=WHICH, worker=WORKERS, stall=STALLS, at=st.sampled_from("aabc"), then=THEN)
    def a_worker_is_overtaken(self, which: int, worker: int, stall: Fate, at: str, then: Fate) -> None:
        """It stands still past its lease, another takes the run, then it wakes and tries all it can."""
        before = list(self.house.stalled)
        self.work(which, worker, stall, at)
        self.always()
        for stalled in [one for one in self.house.stalled if one not in before]:
            self.wait(self.house.engine.recover(stalled.lease.run_id))
            self.wait(self.house.work(1 - worker, stalled.lease.run_id, then, at))
            self.always()
            self.wake_a_stalled_worker(self.house.stalled.index(stalled))
            rows = self.sql(ROWS)
            assert self.wait(self.house.still_has_a_say(stalled.lease)) == [], "a stale lease counts"
            assert self.sql(ROWS) == rows, "a stale worker wrote"

    @precondition(lambda self: self.those("running"))
    @rule(which=WHICH)
    def a_lease_runs_out(self, which: int) -> None:
        running = self.those("running")
        assert self.wait(self.house.engine.recover(running[which % len(running)]))

    @precondition(lambda self: self.those("running"))
    @rule(worker=WORKERS)
    def start_a_worker_anew(self, worker: int) -> None:
        self.wait(self.house.replace(worker))

    @precondition(lambda self: self.house.stalled)
    @rule(worker=WORKERS)
    def renew(self, worker: int) -> None:
        self.wait(self.house.renew(worker))

    @precondition(lambda self: self.those("timer", "all_stop"))
    @rule(enough=st.booleans())
    def wake_what_is_due(self, enough: bool) -> None:
        if enough:
            self.wait(self.house.let_time_pass())
        self.wait(self.house.engine.reconciler.wake_due())

    @precondition(lambda self: self.those("ambiguous"))
    @rule(happened=st.booleans())
    def settle(self, happened: bool) -> None:
        self.wait(self.house.do(services.settle, self.those("ambiguous")[0], happened, BOX))

    @precondition(lambda self: self.those("queued", "running", "waiting"))
    @rule(which=WHICH, sure=st.integers(0, 3))
    def cancel(self, which: int, sure: int) -> None:
        alive = self.those("queued", "running", "waiting")
        if sure == 0:
            self.wait(self.house.do(services.cancel, alive[which % len(alive)], BOX))

    @rule(stop=st.integers(0, 4))
    def turn_the_all_stop(self, stop: int) -> None:
        engine, self.stopped = self.house.engine, stop == 0
        if self.stopped:
            self.wait(self.house.do(allstop.engage, Level.FREEZE, "model", BOX, engine.clock.now()))
        else:
            self.wait(
                self.house.do(allstop.release, "model", Principal("user:ana", Role.ADMIN), engine.clock.now())
            )

    @precondition(lambda self: len(self.started) < MOST_RUNS)
    @rule(again=st.integers(1, 2))
    def a_schedule_time_comes(self, again: int) -> None:
        """Each due time gives one occurrence, however often and from wherever it is looked for."""
        self.house.engine.clock.advance(EVERY)
        self.started += (runs := self.wait(self.house.look_at_the_schedule()))
        assert runs, "a time was due"
        for _ in range(again):
            self.wait(self.house.forget_the_last_look())
            assert self.wait(self.house.look_at_the_schedule()) == [], "a due time gave a second run"

    @precondition(lambda self: len(self.those("queued")) < len(self.last))
    @rule(which=WHICH, worker=WORKERS)
    def try_what_cannot_be(self, which: int, worker: int) -> None:
        others = [run for run in self.last if run not in self.those("queued")]
        run = others[which % len(others)]
        assert not self.wait(self.house.work(worker, run)), "only what is queued can be claimed"
        if run not in self.those("ambiguous"):
            with pytest.raises(services.NotNow):
                self.wait(self.house.do(services.settle, run, True, BOX))
        if self.last[run]["state"] in FINAL:
            with pytest.raises(services.NotNow):
                self.wait(self.house.do(services.cancel, run, BOX))

    # --- and how it must end ------------------------------------------------------------------------

    def teardown(self) -> None:
        try:
            self._bring_to_an_end()
        finally:
            self.wait(self._put_away())

    def _bring_to_an_end(self) -> None:
        """With everything healthy again each run comes to its end."""
        engine = self.house.engine
        self.wait(
            self.house.do(allstop.release, "model", Principal("user:ana", Role.ADMIN), engine.clock.now())
        )
        self.stopped = False
        for worker in (0, 1):
            self.wait(self.house.replace(worker))
        for _ in range(8):
            self.nothing_is_lost_and_rows_make_sense()
            for run in self.those("ambiguous"):
                self.wait(self.house.do(services.settle, run, True, BOX))
            if self.those("timer", "all_stop"):
                self.wait(self.house.let_time_pass())
                self.wait(engine.reconciler.wake_due())
            for run in self.those("queued", "waiting"):
                self.wait(self.house.work(0, run))
        while self.house.stalled:
            self.wake_a_stalled_worker(0)
        self.always()
        assert [row for row in self.last.values() if row["state"] not in FINAL] == []

    async def _put_away(self) -> None:
        for stalled in self.house.stalled:
            stalled.work.cancel()
            await asyncio.wait([stalled.work])
        await self.house.do(
            allstop.release, "model", Principal("user:ana", Role.ADMIN), self.house.engine.clock.now()
        )
