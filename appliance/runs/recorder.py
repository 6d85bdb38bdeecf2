"""Writes what happens to a run: the result of a step, and the run's new state."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from appliance.actions.contract import EffectClass, Status, StepResult
from appliance.audit.services import append_async
from appliance.cache import services as cache
from appliance.escalations.opening import open_one
from appliance.lib.clock import Clock
from appliance.lib.crashpoints import reach
from appliance.lib.jsontypes import JsonObject
from appliance.lib.plain import plain
from appliance.outbox.services import enqueue
from appliance.runs import places, sql
from appliance.runs.away import Place
from appliance.runs.domain import Lease, RunState, StepState, Waiting
from appliance.runs.ending import ending_of
from appliance.runs.intents import with_gate
from appliance.runs.kept_back import flush
from appliance.runs.ledger import Ledger
from appliance.runs.plan import Ambiguous, Next, StepRow
from appliance.runs.release import Release
from appliance.runs.rows import StepWrite, as_row, row_of
from appliance.runs.steps import write_steps
from appliance.runs.walk import Pause, Walk
from appliance.runs.without_secrets import without_secrets
from appliance.safety.budgets import services as budgets
from appliance.safety.budgets.domain import What, afterwards
from appliance.sandbox.findings import audit_entry, note

_DEFERRABLE = frozenset({StepState.SUCCEEDED, StepState.SKIPPED})


class Recorder:
    """Every method is one transaction, written under the run's lease. All raise LeaseLost."""

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        after_outbox: Callable[[], None],
        after_commit: Callable[[], None],
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._after_outbox = after_outbox
        self._after_commit = after_commit

    async def record(
        self,
        walk: Walk,
        following: Next,
        state: StepState,
        started: datetime,
        effect: EffectClass,
        *,
        arguments: JsonObject | None = None,
        result: StepResult | None = None,
        due_at: datetime | None = None,
        place: Place | None = None,
    ) -> None:
        """Commit the result, its cache value and its outbox rows in one transaction. ``place`` is the one that the run
        takes before its target; with a step that is over it leaves the one that it had.

        A plain success waits for the next transaction, which is at most one expression away: a crash before it
        is a crash before this one, and what is unsafe is asked about (P3). Secrets that the step gave are masked
        here, before anything is kept of them: no later step, value, message or event has them.
        """
        spec, now = following.spec, self._clock.now()
        result = without_secrets(result) if result else StepResult(Status.SUCCEEDED)
        write = self._written(walk, following, state, started, effect, arguments, result, due_at, now)
        walk.progress.take(as_row(write))
        walk.recorded += 1
        spent = {What.TIME: (now - started).total_seconds()}
        if result.tokens:
            spent[What.TOKENS] = result.tokens
        costs = afterwards(walk.costs.pop(spec.id, ()), spent)
        apart = (
            spec.cache_key
            or result.outbox
            or walk.row.recoveries
            or costs
            or result.undeclared
            or walk.in_line
        )
        if state in _DEFERRABLE and not apart:
            walk.pending.append(write)
            return
        async with self._ledger.transaction() as connection:
            found = walk.undeclared(spec.id, following.attempt, result.undeclared, now)
            if found:
                await note(connection, found)
            await flush(walk, connection, self._clock, [write])
            if walk.row.recoveries and walk.recorded == 1:
                await connection.execute(sql.HAD_PROGRESS, {"id": walk.row.id, "epoch": walk.lease.epoch})
            if spec.cache_key and state in (StepState.SUCCEEDED, StepState.HANDED_OVER):
                await cache.write(connection, spec.cache_key, result.output, f"{walk.row.id}/{spec.id}")
            for item in result.outbox:
                await enqueue(connection, item)
            for new in result.escalations:
                await open_one(connection, new)
            queued = await places.keep(connection, walk, state, place)
            # Rows that several runs wait for are locked last, in the order in which an intent does it.
            await budgets.spend(connection, costs, spent, now)
            await append_async(connection, [audit_entry(found, walk.row.acts_for)] if found else [])
        places.moved(walk, state, place)
        if result.outbox:
            self._after_outbox()
        if queued:
            self._ledger.on_queued(queued)

    def _written(
        self,
        walk: Walk,
        following: Next,
        state: StepState,
        started: datetime,
        effect: EffectClass,
        arguments: JsonObject | None,
        result: StepResult,
        due_at: datetime | None,
        now: datetime,
    ) -> StepWrite:
        """The step's row; what the gate said of it goes with it, once."""
        return replace(
            row_of(following, state, effect, started, arguments),
            finished_at=None if state is StepState.WAITING else now,
            output=plain(result.output),
            detail=with_gate(result.detail, walk.decided.pop(following.spec.id, "")),
            stderr=result.stderr,
            error=result.error,
            checkpoint=result.checkpoint,
            due_at=due_at,
        )

    async def finish(self, walk: Walk) -> None:
        """Nothing is left to do: the run succeeded, failed, or is undone."""
        ending = ending_of(walk.definition, walk.progress)
        release = Release(
            ending.state,
            reason=ending.reason,
            warning="; ".join((*ending.not_undone, *walk.progress.warnings)),
            handed_over=walk.progress.handed_over,
            writes=walk.pending,
        )
        await self._release(walk.lease, walk.definition.name, release)

    async def pause(self, walk: Walk, pause: Pause) -> None:
        """Give the run up until its time comes."""
        if pause.waiting_for is Waiting.APPROVAL:
            reach("worker.after_asking")
        release = Release(
            RunState.WAITING,
            reason=pause.reason,
            warning="; ".join(walk.progress.warnings),
            waiting_for=pause.waiting_for,
            wake_at=self._until(walk, pause.wake_at),
            progress=walk.recorded > 0,
            writes=walk.pending,
        )
        await self._release(walk.lease, walk.definition.name, release)

    def _until(self, walk: Walk, wake_at: datetime | None) -> datetime | None:
        """A run does not sleep past its own time limit."""
        if wake_at is None or walk.row.deadline is None or walk.progress.failure or walk.row.undo_requested:
            return wake_at
        return min(wake_at, walk.row.deadline)

    async def pause_ambiguous(self, walk: Walk, found: Ambiguous) -> None:
        """Ask a person what became of a step (P3)."""
        latest = walk.progress.latest[found.step]
        if latest.state is not StepState.AMBIGUOUS:
            await self._mark_ambiguous(walk, latest)
        reason = (
            f"step {found.step} was under way when its worker stopped; whether it took effect is not known"
            if not latest.error
            else f"step {found.step}: {latest.error}; whether it took effect is not known"
        )
        await self.pause(walk, Pause(Waiting.AMBIGUOUS, reason))

    async def _mark_ambiguous(self, walk: Walk, row: StepRow) -> None:
        spec = next(s for s in walk.definition.all_steps if s.id == row.step)
        write = StepWrite(
            step=row.step,
            attempt=row.attempt,
            position=row.position,
            phase=row.phase,
            kind=spec.type,
            effect=row.effect,
            state=StepState.AMBIGUOUS,
            started_at=self._clock.now(),
            output=row.output,
            stderr=row.stderr,
            error=row.error,
        )
        async with self._ledger.transaction() as connection:
            await write_steps(connection, walk.lease, walk.definition.name, [write])

    async def cancelled(self, lease: Lease, task: str, kept: Sequence[StepWrite]) -> None:
        """Its cancellation was asked for; the row says by whom."""
        await self._release(lease, task, Release(RunState.CANCELLED, writes=kept))

    async def left(self, lease: Lease, task: str, kept: Sequence[StepWrite]) -> None:
        """Write what was kept back, and nothing else: the run is for another worker."""
        async with self._ledger.transaction() as connection:
            await write_steps(connection, lease, task, kept)

    async def held(self, lease: Lease, task: str, kept: Sequence[StepWrite]) -> None:
        """The all-stop ended this run's work: it waits, and what was under way is judged when it goes on."""
        release = Release(
            RunState.WAITING,
            reason="ended by the all-stop",
            waiting_for=Waiting.ALL_STOP,
            wake_at=self._clock.now() + timedelta(seconds=5),
            writes=kept,
        )
        await self._release(lease, task, release)

    async def give_back(self, walk: Walk) -> None:
        """The worker stops: the run is queued for another one, or for this one's next life. It was not at fault, so
        this is no recovery (P10)."""
        release = Release(
            RunState.QUEUED,
            reason="its worker stopped: it goes on with the next one",
            warning="; ".join(walk.progress.warnings),
            progress=walk.recorded > 0,
            writes=walk.pending,
        )
        await self._release(walk.lease, walk.definition.name, release)

    async def _release(self, lease: Lease, task: str, release: Release) -> None:
        await self._ledger.release(lease, task, release)
        self._after_commit()
