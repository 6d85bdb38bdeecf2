"""Writes what happens to a run: the intent before an effect, the result after it, and the run's new state."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection, Rollback

from appliance.actions.contract import ActionRefused, EffectClass, Status, StepResult, TargetAway
from appliance.audit.services import AuditEntry, append_async
from appliance.cache import services as cache
from appliance.lib.clock import Clock, Moment
from appliance.lib.crashpoints import reach
from appliance.lib.jsontypes import JsonObject
from appliance.lib.plain import plain
from appliance.outbox.services import enqueue
from appliance.runs import approving, away, sql
from appliance.runs.at_once import Payment
from appliance.runs.away import Place
from appliance.runs.domain import Lease, RunState, StepState, Waiting
from appliance.runs.effects import acts
from appliance.runs.ending import ending_of
from appliance.runs.intents import asking_of, intent_of, record_of, refusal_of, with_gate
from appliance.runs.ledger import Ledger
from appliance.runs.lending import lent
from appliance.runs.plan import Ambiguous, Next, StepRow
from appliance.runs.plant import PlantAnswers
from appliance.runs.release import Release
from appliance.runs.rows import LeaseLost, RunRow, StepWrite, as_row
from appliance.runs.steps import write_steps
from appliance.runs.walk import Pause, Walk
from appliance.runs.without_secrets import without_secrets
from appliance.safety.budgets import services as budgets
from appliance.safety.budgets.domain import What, afterwards
from appliance.safety.gate import Action, Decision, Gate, Look, Verdict, of_over
from appliance.sandbox.findings import audit_entry, note
from appliance.tasks.definition import StepSpec

_DEFERRABLE = frozenset({StepState.SUCCEEDED, StepState.SKIPPED})


class Recorder:
    """Every method is one transaction, written under the run's lease. All raise LeaseLost."""

    def __init__(
        self,
        ledger: Ledger,
        gate: Gate,
        clock: Clock,
        after_outbox: Callable[[], None],
        after_commit: Callable[[], None],
    ) -> None:
        self._ledger = ledger
        self._gate = gate
        self._plant = PlantAnswers(ledger, gate, clock)
        self._clock = clock
        self._after_outbox = after_outbox
        self._after_commit = after_commit

    async def intend(
        self, walk: Walk, following: Next, now: datetime, effect: EffectClass, arguments: JsonObject
    ) -> Verdict:
        """Pass the gate; for a step that acts commit the intent and its audit record first (P3).

        Decided on what was seen last, and written only where that is still so: a stop engaged, or a policy applied,
        a moment ago counts. Where the gate asks, ``ask`` goes on with the states that the approval depends on.
        """
        action = walk.action(
            following.spec, following.spec.type, effect, arguments, acts=acts(following.spec)
        )
        look, fresh = walk.look or self._gate.seen(action, walk.row.stop), False
        refused: Verdict | None = None
        while True:
            if look is None:
                look, fresh = await self._look(action), True
            verdict = refused or self._gate.decide(await self._plant.answered(action), look.stop, look.role)
            writes: list[StepWrite] = [*walk.pending]
            entries: list[AuditEntry] = []
            acting = action.acts and verdict.outcome is Decision.ALLOW
            relaxed = acting and effect is not EffectClass.UNSAFE and not self._ledger.acts_after_disk
            if acting:
                writes.append(intent_of(following, now, effect, arguments, verdict))
                entries.append(record_of(action, verdict, following.attempt, now))
            elif verdict.outcome is Decision.DENY:
                entries.append(refusal_of(action, verdict, following.attempt, now))
            written = fresh and not (writes or entries)
            asked = Moment.of(self._clock)
            if writes or entries:
                charges = verdict.charges if verdict.outcome is Decision.ALLOW else ()
                payment = Payment(charges, self._clock.now())
                wrote = await self._ledger.write(
                    walk.lease, action, look, writes, entries, payment, relaxed=relaxed
                )
                walk.some_away = wrote.some_away
                if wrote.over:
                    refused = of_over(verdict, wrote.over)
                    continue
                written = wrote.done
            if written:
                walk.costs[following.spec.id] = verdict.charges
                walk.look = look
                walk.pending.clear()
                if writes or entries:
                    walk.proven = asked
                    proof = (following.spec.id, following.attempt) if relaxed else None
                    walk.lease = replace(walk.lease, proof=proof)
                walk.decided[following.spec.id] = verdict.rule
                return verdict
            look, refused = None, None

    async def ask(
        self,
        walk: Walk,
        following: Next,
        now: datetime,
        effect: EffectClass,
        arguments: JsonObject,
        states: JsonObject,
    ) -> Verdict:
        """Look at the step's approvals: it may pass with one, be refused, or wait (until ``walk.asked_until``).

        The gate is asked once more, in the transaction that commits what follows. ``intend`` has written what was
        kept back.
        """
        walk.some_away = True  # what is asked for has time to look
        while True:
            verdict = await self._ask(walk, following, now, effect, arguments, states)
            if verdict is not None:
                walk.decided[following.spec.id] = verdict.rule
                return verdict

    async def _ask(
        self,
        walk: Walk,
        following: Next,
        now: datetime,
        effect: EffectClass,
        arguments: JsonObject,
        states: JsonObject,
    ) -> Verdict | None:
        """None, and nothing is written, where a stop or a policy was committed in between.

        Looked at again when all is written: each of them goes on the audit record before its commit, whose head is
        held here by then. What acts is on record too, so none can slip in between that and this commit.
        """
        action = walk.action(
            following.spec, following.spec.type, effect, arguments, acts=acts(following.spec)
        )
        async with self._ledger.transaction() as connection:
            await connection.execute(sql.LOCK_RUN, {"id": walk.row.id})
            look = await self._gate.look(connection, action)
            answered = await self._plant.answered(action, connection)
            verdict = self._gate.decide(answered, look.stop, look.role)
            records: tuple[AuditEntry, ...] = ()
            charges = verdict.charges
            if verdict.outcome is Decision.ASK and (over := await budgets.look(connection, charges, now)):
                verdict = of_over(verdict, over)
            if verdict.outcome is Decision.ASK:
                wish = approving.wish_of(walk, following, action, verdict, states)
                unattended = walk.definition.is_unattended(walk.row.trigger)
                answer = await approving.settle(connection, wish, verdict, now, unattended=unattended)
                verdict, records, walk.asked_until = answer.verdict, answer.records, answer.until
            if verdict.outcome is Decision.ALLOW and action.acts:
                over = await budgets.charge(connection, charges, now, walk.row.id)
                verdict = of_over(verdict, over) if over else verdict
                walk.costs[following.spec.id] = charges
            writes: list[StepWrite] = []
            if verdict.outcome is Decision.ASK:
                writes = [asking_of(following, now, effect, arguments)]
            elif verdict.outcome is Decision.ALLOW and action.acts:
                writes = [intent_of(following, now, effect, arguments, verdict)]
                records = (*records, record_of(action, verdict, following.attempt, now))
            elif verdict.outcome is Decision.DENY:
                records = (*records, refusal_of(action, verdict, following.attempt, now))
            await self._flush(walk, connection, writes, records)
            if await self._gate.look(connection, action) != look:
                raise Rollback
            return verdict
        return None

    def stopped(
        self, walk: Walk, spec: StepSpec, effect: EffectClass, arguments: JsonObject
    ) -> Verdict | None:
        """What holds this step now, though it was let through: the intent's statement decided on what it saw when it
        began, and waited for the head of the audit record, which a stop may have held."""
        return self._gate.stopped_by_file(walk.action(spec, spec.type, effect, arguments, acts=acts(spec)))

    async def _look(self, action: Action) -> Look:
        async with lent(self._ledger.pool) as connection:
            return await self._gate.look(connection, action)

    async def permit(
        self, walk: Walk, spec: StepSpec, kind: str, effect: EffectClass, arguments: JsonObject
    ) -> None:
        """Pass the gate for what a step does beside its own kind. Raises ActionRefused, TargetAway while held.

        Nobody can be asked about it: an approval is for the step itself. ``effect`` is the engine's word here.
        """
        action = walk.action(spec, kind, effect, arguments, acts=effect is not EffectClass.PURE)
        async with self._ledger.transaction() as connection:
            look = await self._gate.look(connection, action)
            answered = await self._plant.answered(action, connection)
            verdict = self._gate.decide(answered, look.stop, look.role)
            if verdict.outcome is Decision.ALLOW and action.acts:
                over = await budgets.charge(connection, verdict.charges, self._clock.now(), walk.row.id)
                verdict = of_over(verdict, over) if over else verdict
            if verdict.outcome in (Decision.DENY, Decision.ASK):
                await append_async(connection, [refusal_of(action, verdict, 1, self._clock.now())])
        if verdict.outcome is Decision.HOLD:
            raise TargetAway(verdict.reason)
        if verdict.outcome is Decision.ASK:
            raise ActionRefused(
                f"refused: what {spec.type} reads cannot be asked about: {verdict.reason}",
                hint=f"ask with a step of type {kind}, and give its output as items",
            )
        if verdict.outcome is Decision.DENY:
            raise ActionRefused(f"refused: {verdict.reason}")

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
        write = StepWrite(
            step=spec.id,
            attempt=following.attempt,
            position=following.position,
            phase=following.phase,
            kind=spec.type,
            effect=effect,
            state=state,
            started_at=started,
            finished_at=None if state is StepState.WAITING else now,
            input=arguments,
            output=plain(result.output),
            detail=with_gate(result.detail, walk.decided.pop(spec.id, "")),
            stderr=result.stderr,
            error=result.error,
            checkpoint=result.checkpoint,
            due_at=due_at,
        )
        walk.progress.take(as_row(write))
        walk.recorded += 1
        costs = afterwards(walk.costs.pop(spec.id, ()), What.TIME)
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
        queued: list[UUID] = []
        async with self._ledger.transaction() as connection:
            found = walk.undeclared(spec.id, following.attempt, result.undeclared, now)
            if found:
                await note(connection, found)
            await self._flush(walk, connection, [write])
            if walk.row.recoveries and walk.recorded == 1:
                await connection.execute(sql.HAD_PROGRESS, {"id": walk.row.id, "epoch": walk.lease.epoch})
            if spec.cache_key and state in (StepState.SUCCEEDED, StepState.HANDED_OVER):
                await cache.write(connection, spec.cache_key, result.output, f"{walk.row.id}/{spec.id}")
            for item in result.outbox:
                await enqueue(connection, item)
            if place is not None:
                await away.join(connection, walk.row.id, place)
            elif walk.in_line and state is not StepState.WAITING:
                queued = await away.leave(connection, walk.row.id, walk.in_line)
            # Rows that several runs wait for are locked last, in the order in which an intent does it.
            await budgets.spend(connection, costs, What.TIME, (now - started).total_seconds(), now)
            await append_async(connection, [audit_entry(found, walk.row.acts_for)] if found else [])
        walk.in_line = place.target if place else walk.in_line if state is StepState.WAITING else ""
        if result.outbox:
            self._after_outbox()
        if queued:
            self._ledger.on_queued(queued)

    async def behind(self, walk: Walk, target: str) -> bool:
        """Whether the run has to wait until older ones are done with this target. A place before another is given up.

        Nothing is asked of the database while no run waits for any target.
        """
        if walk.in_line and walk.in_line != target:
            async with self._ledger.transaction() as connection:
                held = await connection.execute(sql.HELD, walk.lease.parameters)
                if await held.fetchone() is None:
                    raise LeaseLost(f"run {walk.row.id} is held by another worker")
                queued = await away.leave(connection, walk.row.id, walk.in_line)
            walk.in_line = ""
            self._ledger.on_queued(queued)
        if not (target and walk.some_away):
            return False
        async with lent(self._ledger.pool) as connection:
            return await away.is_behind(connection, walk.row.id, target)

    async def place_of(self, row: RunRow) -> str:
        """The target in whose line a run stands that was claimed now."""
        if not row.some_away:
            return ""
        async with lent(self._ledger.pool) as connection:
            return await away.target_of(connection, row.id)

    async def _flush(
        self,
        walk: Walk,
        connection: AsyncConnection[Any],
        writes: Sequence[StepWrite],
        audit: Sequence[AuditEntry] = (),
    ) -> None:
        """Write these rows, after the results that were kept back for this transaction."""
        asked = Moment.of(self._clock)
        rows = [*walk.pending, *writes]
        await write_steps(connection, walk.lease, walk.definition.name, rows, audit)
        walk.pending.clear()
        if rows:
            walk.proven = asked

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

    async def _release(self, lease: Lease, task: str, release: Release) -> None:
        await self._ledger.release(lease, task, release)
        self._after_commit()
