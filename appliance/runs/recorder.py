"""Writes what happens to a run: the intent before an effect, the result after it, and the run's new state."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from psycopg import AsyncConnection

from appliance.actions.contract import ActionRefused, EffectClass, Status, StepResult, TargetAway
from appliance.audit.services import AuditEntry, append_async
from appliance.cache import services as cache
from appliance.lib.clock import Clock, Moment
from appliance.lib.crashpoints import reach
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.lib.plain import plain
from appliance.outbox.services import enqueue
from appliance.runs import approving, sql
from appliance.runs.domain import Lease, RunState, StepState, Waiting
from appliance.runs.ending import ending_of
from appliance.runs.ledger import Ledger, StepWrite
from appliance.runs.plan import Ambiguous, Next, StepRow
from appliance.runs.walk import Pause, Walk
from appliance.safety.gate import Action, Decision, Gate, Verdict
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
        self._clock = clock
        self._after_outbox = after_outbox
        self._after_commit = after_commit

    async def intend(
        self,
        walk: Walk,
        following: Next,
        now: datetime,
        effect: EffectClass,
        arguments: JsonObject,
        states: JsonObject | None = None,
    ) -> Verdict:
        """Pass the gate; for anything but pure steps commit the intent and its audit record first (P3).

        Where the gate asks, nothing is decided without ``states``: then the step's approvals are looked at, and
        the one that is waited for is committed with the step (``walk.asked_until`` says until when).
        """
        spec, row = following.spec, walk.row
        action = walk.action(spec, spec.type, effect, arguments)
        async with self._ledger.transaction() as connection:
            verdict = await self._gate.pass_(connection, action)
            records: tuple[AuditEntry, ...] = ()
            if verdict.outcome is Decision.ASK and states is not None:
                wish = approving.wish_of(walk, following, action, verdict, states)
                unattended = walk.definition.is_unattended(row.trigger)
                answer = await approving.settle(connection, wish, verdict, now, unattended=unattended)
                verdict, records, walk.asked_until = answer.verdict, answer.records, answer.until
            if verdict.outcome is Decision.ASK and states is not None:
                await self._flush(walk, connection, [_asking(following, now, effect, arguments)], records)
            elif verdict.outcome is Decision.ALLOW and effect is not EffectClass.PURE:
                write = StepWrite(
                    step=spec.id,
                    attempt=following.attempt,
                    position=following.position,
                    phase=following.phase,
                    kind=spec.type,
                    effect=effect,
                    state=StepState.INTENT,
                    started_at=now,
                    input=arguments,
                    detail=_command(verdict, short=True) or None,
                    checkpoint=following.resumed_from,
                )
                entry = _entry("step.intent", action, verdict, following.attempt, now, **_command(verdict))
                await self._flush(walk, connection, [write], [*records, entry])
            else:
                if verdict.outcome is Decision.DENY:
                    records = (*records, refusal_of(action, verdict, following.attempt, now))
                await self._flush(walk, connection, [], records)
        walk.decided[spec.id] = verdict.rule
        return verdict

    async def ask(
        self, walk: Walk, spec: StepSpec, kind: str, effect: EffectClass, arguments: JsonObject
    ) -> None:
        """Pass the gate for what a step does beside its own kind. Raises ActionRefused, TargetAway while held.

        Nobody can be asked about it: an approval is for the step itself.
        """
        action = walk.action(spec, kind, effect, arguments)
        async with self._ledger.transaction() as connection:
            verdict = await self._gate.pass_(connection, action)
            if verdict.outcome in (Decision.DENY, Decision.ASK):
                await append_async(connection, [refusal_of(action, verdict, 1, self._clock.now())])
        if verdict.outcome is Decision.HOLD:
            raise TargetAway(verdict.reason)
        if verdict.outcome is Decision.ASK:
            raise ActionRefused(
                f"refused: a query inside {spec.type} cannot be asked about: {verdict.reason}",
                hint="ask with a step of type sql, and give its output as items",
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
    ) -> None:
        """Commit the result, its cache value and its outbox rows in one transaction."""
        spec, now = following.spec, self._clock.now()
        result = result or StepResult(Status.SUCCEEDED)
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
        if (
            state in _DEFERRABLE
            and effect is not EffectClass.UNSAFE
            and not (spec.cache_key or result.outbox or walk.row.recoveries)
        ):
            walk.pending.append(write)
            return
        async with self._ledger.transaction() as connection:
            await self._flush(walk, connection, [write])
            if walk.row.recoveries and walk.recorded == 1:
                await connection.execute(sql.HAD_PROGRESS, {"id": walk.row.id, "epoch": walk.lease.epoch})
            if spec.cache_key and state in (StepState.SUCCEEDED, StepState.HANDED_OVER):
                await cache.write(connection, spec.cache_key, result.output, f"{walk.row.id}/{spec.id}")
            for item in result.outbox:
                await enqueue(connection, item)
        if result.outbox:
            self._after_outbox()

    async def _flush(
        self,
        walk: Walk,
        connection: AsyncConnection[Any],
        writes: Sequence[StepWrite],
        audit: Sequence[AuditEntry] = (),
    ) -> None:
        """Write these rows, after the results that were kept back for this transaction."""
        waiting, walk.pending = walk.pending, []
        if waiting or writes or audit:
            rows = [*waiting, *writes]
            asked = Moment.of(self._clock)
            await self._ledger.write_steps(connection, walk.lease, walk.definition.name, rows, audit)
            if rows:
                walk.proven = asked

    def _warning(self, walk: Walk) -> str:
        return "; ".join(walk.progress.warnings)

    async def finish(self, walk: Walk) -> None:
        """Nothing is left to do: the run succeeded, failed, or is undone."""
        ending = ending_of(walk.definition, walk.progress)
        await self._ledger.release(
            walk.lease,
            walk.definition.name,
            ending.state,
            reason=ending.reason,
            warning="; ".join((*ending.not_undone, *walk.progress.warnings)),
            handed_over=walk.progress.handed_over,
            writes=walk.pending,
        )
        self._after_commit()

    async def pause(self, walk: Walk, pause: Pause) -> None:
        """Give the run up until its time comes."""
        if pause.waiting_for is Waiting.APPROVAL:
            reach("worker.after_asking")
        await self._ledger.release(
            walk.lease,
            walk.definition.name,
            RunState.WAITING,
            reason=pause.reason,
            warning=self._warning(walk),
            waiting_for=pause.waiting_for,
            wake_at=self._until(walk, pause.wake_at),
            progress=walk.recorded > 0,
            writes=walk.pending,
        )
        self._after_commit()

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
            await self._ledger.write_steps(connection, walk.lease, walk.definition.name, [write])

    async def cancelled(self, lease: Lease, task: str) -> None:
        """Its cancellation was asked for; the row says by whom."""
        await self._ledger.release(lease, task, RunState.CANCELLED)
        self._after_commit()

    async def held(self, lease: Lease, task: str) -> None:
        """The all-stop ended this run's work: it waits, and what was under way is judged when it goes on."""
        await self._ledger.release(
            lease,
            task,
            RunState.WAITING,
            reason="ended by the all-stop",
            waiting_for=Waiting.ALL_STOP,
            wake_at=self._clock.now() + timedelta(seconds=5),
        )
        self._after_commit()


def _command(verdict: Verdict, *, short: bool = False) -> JsonObject:
    """What the gate understood of the step's command, if it has one."""
    if verdict.command is None:
        return {}
    return {"command": verdict.command.in_short() if short else verdict.command.as_json()}


def refusal_of(action: Action, verdict: Verdict, attempt: int, at: datetime) -> AuditEntry:
    """What the audit record keeps of a step that the gate denied."""
    return _entry("step.refused", action, verdict, attempt, at, reason=verdict.reason, **_command(verdict))


def _entry(
    kind: str, action: Action, verdict: Verdict, attempt: int, at: datetime, **more: JsonValue
) -> AuditEntry:
    return AuditEntry(
        kind=kind,
        principal=action.principal,
        subject=f"{action.run_id}/{action.step_id}",
        detail={
            "task": action.task,
            "kind": action.kind,
            "effect": action.effect,
            "arguments": dict(action.arguments),
            "attempt": attempt,
            "rule": verdict.rule,
            **more,
        },
        at=at,
    )


def with_gate(detail: JsonObject, rule: str) -> JsonObject:
    """A step's details with the rule of the gate that decided on it."""
    return {**detail, "gate": rule} if rule else detail


def _asking(following: Next, now: datetime, effect: EffectClass, arguments: JsonObject) -> StepWrite:
    """A step that waits for a person: it has not begun, so a crash leaves nothing unclear."""
    return StepWrite(
        step=following.spec.id,
        attempt=following.attempt,
        position=following.position,
        phase=following.phase,
        kind=following.spec.type,
        effect=effect,
        state=StepState.WAITING,
        started_at=now,
        input=arguments,
        checkpoint=following.resumed_from,
    )


def as_row(write: StepWrite) -> StepRow:
    """A row as it will be read back."""
    return StepRow(
        step=write.step,
        attempt=write.attempt,
        position=write.position,
        phase=write.phase,
        effect=write.effect,
        state=write.state,
        output=write.output,
        stderr=write.stderr,
        error=write.error,
        checkpoint=write.checkpoint,
        due_at=write.due_at,
    )
