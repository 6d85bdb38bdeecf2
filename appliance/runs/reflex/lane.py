"""The reflex lane of one reactor: takes fired triggers, lets instant runs act, and gives the rest to workers."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from appliance.actions.contract import (
    ActionKind,
    Services,
    StateReader,
    StepResult,
    TargetAway,
)
from appliance.actions.registry import registry
from appliance.bus.last import LastValues
from appliance.lib.cancelling import end
from appliance.lib.clock import Clock
from appliance.lib.crashpoints import reach
from appliance.lib.errors import MillwrightError
from appliance.runs.domain import RunState
from appliance.runs.reflex.arrival import Arrival
from appliance.runs.reflex.choice import LaneName, lane_of
from appliance.runs.reflex.committer import Committer
from appliance.runs.reflex.flight import Flight
from appliance.runs.reflex.intent import Intent
from appliance.runs.reflex.line import Known, LaneLine
from appliance.runs.reflex.owed import Owed
from appliance.runs.reflex.recovery import DefinitionOf, recover
from appliance.runs.reflex.step_context import context_of, limit_of
from appliance.runs.reflex.unflushed import Unflushed
from appliance.runs.reflex.writer import Fenced, GroupWriter
from appliance.runs.validity import too_late, valid_until
from appliance.safety.gate import Action, Decision, Gate, Verdict
from appliance.safety.plant_state.domain import Closed, stricter, unfulfilled
from appliance.tasks.matching import Armed
from appliance.tasks.ports import NewRun

log = logging.getLogger(__name__)

MOST_ALOFT = 2000
"""Runs in the air at one time; what comes beyond them goes into the ledger, for the workers."""


STANDS_FOR = timedelta(seconds=1)
"""A decision that is older when its intent is on record is made again: a commit can wait for a database that is away,
and windows, hours and the plant's values go on without the switch moving."""


class ReflexLane:
    """``hint`` tells workers and browsers what was committed; ``on_fenced`` ends this reactor.

    ``acts_after_disk=False`` is for the crash-safe mode: a run acts when its intent is committed, while the disk
    is still writing it; what is acknowledged waits for the disk all the same.
    """

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection[Any]],
        clock: Clock,
        gate: Gate,
        services: Services,
        last: LastValues,
        hint: Callable[[Sequence[UUID]], None],
        definition_of: DefinitionOf,
        on_fenced: Callable[[], None] = lambda: None,
        *,
        acts_after_disk: bool = True,
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._gate = gate
        self._services = services
        self._last = last
        self._hint = hint
        self._definition_of = definition_of
        self._on_fenced = on_fenced
        self._unflushed = None if acts_after_disk else Unflushed(pool)
        self._writer = GroupWriter(pool, self._unflushed)
        owed = Owed(allowed=not acts_after_disk)
        self._line = LaneLine(pool)
        self._committer = Committer(
            self._writer,
            clock,
            self._intended,
            self._landed,
            owed,
            lambda run_id: self._line.landed([run_id]),
        )
        if self._unflushed is not None:
            self._unflushed.on_lost = self._committer.mend
        self._lanes: dict[int, LaneName] = {}
        self._acting: set[asyncio.Task[None]] = set()
        self._jobs: list[asyncio.Task[None]] = []
        self.performed = self.handed_over = 0

    # --- life ---------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Fence earlier reactors off, queue what they left in the air, and begin to commit."""
        async with self._pool.connection() as connection:
            await self._gate.follow(connection)
        settled = await self._writer.take_over()
        left = await recover(self._pool, settled, self._definition_of, self._clock.now())
        if left:
            log.info("took over %d run(s) of an earlier reactor", len(left))
            self._hint(left)
        self._jobs = [asyncio.create_task(self._commit(), name="reflex lane")]
        if self._unflushed is not None:
            self._jobs.append(asyncio.create_task(self._unflushed.run(), name="reflex lane flush"))

    async def _commit(self) -> None:
        try:
            await self._committer.run()
        except Fenced as error:
            log.error("%s", error)
            self._on_fenced()
        except Exception:
            # Nothing would be committed any more: better a reactor that begins anew than one that only seems to live.
            log.exception("the reflex lane has ended")
            self._on_fenced()

    async def stop(self, grace: float = 5.0) -> None:
        """Let what is in the air land within ``grace`` seconds; the next reactor takes over what does not."""
        try:
            async with asyncio.timeout(grace):
                await self._committer.settled()
        except TimeoutError:
            log.warning("%d run(s) in the air are left to recovery", self._committer.aloft)
        await end({*self._acting, *self._jobs})

    @property
    def aloft(self) -> int:
        return self._committer.aloft

    @property
    def lines(self) -> Known:
        """The lines before targets that are away, as the last commit knows them."""
        return self._committer.lines

    # --- in -----------------------------------------------------------------------------------------

    def takes(self, armed: Armed) -> bool:
        """Whether a run of this trigger's task can be performed here, now."""
        lane = self._lanes.get(armed.version_id)
        if lane is None:
            lane = self._lanes[armed.version_id] = lane_of(armed.definition).lane
        return lane is LaneName.REFLEX and self._committer.aloft < MOST_ALOFT

    def launch(self, run: NewRun, now: datetime) -> tuple[Flight, Intent | None]:
        """Decide as far as can be decided before anything is committed; nothing has an effect yet."""
        flight = Flight.of(run, now)
        return flight, self._advance(flight, now)

    async def arrive(self, arrival: Arrival) -> Sequence[UUID]:
        """Commit a batch of events with the runs that they launch."""
        return await self._committer.arrive(arrival)

    def once_durable(self, call: Callable[[], None]) -> None:
        """Call when what is committed now is on the disk, and what is owed too: at once, unless commits do not wait."""
        unflushed = self._unflushed
        if unflushed is None:
            call()
        else:
            self._committer.owed.once_paid(lambda: unflushed.once_durable(call))

    # --- acting -------------------------------------------------------------------------------------

    def _advance(self, flight: Flight, now: datetime) -> Intent | None:
        state: StateReader = self._last.reader(now)
        return flight.advance(now, self._decide, state, self._perform)

    def _decide(self, action: Action) -> Verdict:
        verdict = self._judge(action)
        if verdict.charges and not self._committer.purse.has_room(verdict.charges):
            return replace(verdict, outcome=Decision.HOLD, reason="a budget is used up", charges=())
        return verdict

    def _judge(self, action: Action) -> Verdict:
        closed = self._closed(action)
        if closed is not None:
            action = replace(action, plant=closed)
        return self._gate.decide(action, self._committer.stop, None)

    def _closed(self, action: Action) -> Closed | None:
        """What the policy asks of the plant, by the values that this process holds."""
        asked = self._gate.conditions(action)
        if not asked:
            return None
        state = self._last.reader(self._clock.now())
        found = (unfulfilled(one.rule, one.name, state(one.rule.state, one.rule.max_age)) for one in asked)
        return stricter(one for one in found if one is not None)

    def _intended(self, flight: Flight, intent: Intent) -> None:
        """The intent is on record: look at the switch as that commit saw it, and at the time, then act."""
        paid = not intent.charges or self._committer.purse.take(intent.charges)
        fresh = self._stands(intent)
        if not fresh and flight.asks_the_plant(intent):
            flight.hand_over("its intent was committed late: the plant's state is asked again", intent)
            self._committer.land(flight)
            return
        still = fresh and self._gate.holds_still(intent.stop, self._committer.stop)
        verdict = None if still else self._judge(intent.action)
        if not paid or (verdict is not None and verdict.outcome is not Decision.ALLOW):
            flight.hand_over("a budget is used up" if verdict is None or not paid else verdict.reason, intent)
            self._committer.land(flight)
            return
        task = asyncio.create_task(self._act(flight, intent))
        self._acting.add(task)
        task.add_done_callback(self._acting.discard)

    def _stands(self, intent: Intent) -> bool:
        """Whether what was decided of it is recent enough to act on."""
        return timedelta() <= self._clock.now() - intent.at < STANDS_FOR

    async def _act(self, flight: Flight, intent: Intent) -> None:
        try:
            if not await self._may_act(flight, intent):
                self._committer.land(flight)
                return
            reach("reflex.before_effect")
            result = await self._perform(flight, intent)
        except TargetAway as away:
            flight.away(intent, str(away))
            self._line.gives_up(flight.run.id, intent.target)
        except MillwrightError as error:
            failed = StepResult.failed(str(error), retryable=not error.permanent)
            flight.settle(intent, failed, self._clock.now())
        except Exception as error:
            log.exception("step %s of run %s", intent.following.spec.id, flight.run.id)
            flight.settle(intent, StepResult.failed(repr(error), retryable=False), self._clock.now())
        else:
            flight.settle(intent, result, self._clock.now())
        reach("reflex.after_effect")
        try:
            following = self._advance(flight, self._clock.now())
        except Exception as error:
            log.exception("run %s is handed over", flight.run.id)
            flight.hand_over(f"what comes next could not be decided: {type(error).__name__}")
            following = None
        if following is None:
            self._committer.land(flight)
        else:
            self._committer.intend(flight, following)

    async def _may_act(self, flight: Flight, intent: Intent) -> bool:
        """Whether nothing came between; else the run is given up. Raises TargetAway where nobody is there in time."""
        spec, run_id = intent.following.spec, flight.run.id
        kind = registry()[spec.type]
        patience = limit_of(spec)
        left = self._left(flight, intent)
        if left is not None:
            patience = min(patience, max(left, 0.0))
        waited = await kind.reach(intent.arguments, self._services, patience)
        asked = waited or self._line.is_draining
        if asked:
            behind = await self._line.is_behind_after_waiting(run_id, intent.target)
        else:
            asked = self._line.anybody_lands or self.lines.may_have(intent)
            behind = asked and await self._line.is_behind(run_id, intent.target)
        if behind:
            flight.stand_behind(intent)
            self._line.gives_up(run_id, intent.target)
        elif (waited or (asked and not self._stands(intent))) and flight.asks_the_plant(intent):
            flight.hand_over("its turn came late: the plant's state is asked again", intent)
        elif asked and (verdict := self._judge(intent.action)).outcome is not Decision.ALLOW:
            flight.hand_over(verdict.reason, intent)
        return flight.end is None

    async def _perform(self, flight: Flight, intent: Intent) -> StepResult:
        spec = intent.following.spec
        left = self._left(flight, intent)
        if left is not None and left <= 0:
            return StepResult.failed(too_late(spec, flight.progress), retryable=False)
        kind = registry()[spec.type]
        assert isinstance(kind, ActionKind), "what is made of steps is not instant"
        context = context_of(flight, intent, self._services, self._pool.connection, left)
        return await kind.perform(intent.arguments, context)

    def _left(self, flight: Flight, intent: Intent) -> float | None:
        """Seconds in which the step may still act; None without a limit."""
        spec, progress = intent.following.spec, flight.progress
        progress.first_wanted.setdefault(spec.id, intent.at)
        until = valid_until(spec, progress)
        return (until - self._clock.now()).total_seconds() if until else None

    # --- out ----------------------------------------------------------------------------------------

    def _landed(self, flights: Sequence[Flight]) -> None:
        self._line.landed(flight.run.id for flight in flights)
        queued = [flight.run.id for flight in flights if flight.end and flight.end.state is RunState.QUEUED]
        self.performed += len(flights) - len(queued)
        self.handed_over += len(queued)
        self._hint(queued)
