"""Performs one claimed run, step by step: decide, record the intent, pass the gate, act, record the result."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from psycopg import AsyncConnection

from appliance.accounts.domain import Role
from appliance.actions.contract import (
    EffectClass,
    Services,
    Status,
    StepContext,
    StepResult,
    TargetAway,
)
from appliance.actions.registry import registry
from appliance.audit.services import AuditEntry
from appliance.bus.services import read_state
from appliance.cache import services as cache
from appliance.expressions import ExpressionError, StateNeeded, truth
from appliance.lib.backoff import delay
from appliance.lib.clock import Clock
from appliance.lib.errors import MillwrightError
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.lib.plain import plain
from appliance.outbox.services import enqueue
from appliance.runs import sql
from appliance.runs.domain import Lease, RunState, StepState, Waiting
from appliance.runs.ledger import Ledger, RunRow, StepWrite
from appliance.runs.plan import (
    Ambiguous,
    Next,
    Phase,
    Progress,
    StepRow,
    attempts_allowed,
    next_step,
    replay,
    settle_failure,
)
from appliance.runs.scope import step_scope
from appliance.safety.gate import Action, Decision, Gate, Verdict
from appliance.tasks.definition import StepSpec, TaskDefinition
from appliance.tasks.matching import event_scope

log = logging.getLogger(__name__)

STATE_READS = 20
"""How many different topics one expression may look up with ``state()``."""

AWAY_RETRY_CAP = 10.0
_DEFERRABLE = frozenset({StepState.SUCCEEDED, StepState.SKIPPED})
PLANT_STATE_EVERY = 2.0


@dataclass(slots=True)
class _Walk:
    """One life of one run in this process."""

    row: RunRow
    lease: Lease
    definition: TaskDefinition
    progress: Progress
    base: JsonObject
    recorded: int = 0
    pending: list[StepWrite] = field(default_factory=list)
    """Results that may be computed again, kept back for the next transaction of this run: it is at most one
    expression away."""


@dataclass(frozen=True, slots=True)
class _Pause:
    """Why the run stops being worked on now, without being finished."""

    waiting_for: Waiting
    reason: str
    wake_at: datetime | None = None


class Performer:
    """Stateless between runs; everything it needs to continue one is in the ledger."""

    def __init__(
        self,
        ledger: Ledger,
        gate: Gate,
        services: Services,
        clock: Clock,
        definition_of: Callable[[int], Any],
        on_output: Callable[[str, str, str, bytes], None] | None = None,
        after_outbox: Callable[[], None] = lambda: None,
        after_commit: Callable[[], None] = lambda: None,
    ) -> None:
        self._ledger = ledger
        self._gate = gate
        self._services = services
        self._clock = clock
        self._definition_of = definition_of
        self._on_output = on_output
        self._after_outbox = after_outbox
        self._after_commit = after_commit

    async def perform(self, row: RunRow, lease: Lease) -> None:
        definition: TaskDefinition = await self._definition_of(row.version_id)
        rows = await self._ledger.steps(row.id) if row.epoch > 1 else []
        walk = _Walk(
            row,
            lease,
            definition,
            replay(definition, rows),
            event_scope(definition, row.inputs, row.created_at),
        )
        walk.base["run"] = {"id": str(row.id), "origin": row.origin, "trigger": row.trigger}
        if row.cancel_requested:
            await self.cancelled(row, lease)
            return
        while True:
            following = next_step(definition, walk.progress)
            if following is None:
                await self._finish(walk)
                return
            if isinstance(following, Ambiguous):
                await self._pause_ambiguous(walk, following)
                return
            pause = await self._step(walk, following)
            if pause is not None:
                await self._pause(walk, pause)
                return

    async def cancelled(self, row: RunRow, lease: Lease) -> None:
        await self._ledger.release(
            lease,
            (await self._definition_of(row.version_id)).name,
            RunState.CANCELLED,
            reason="cancelled by a person",
        )
        self._after_commit()

    async def held(self, row: RunRow, lease: Lease) -> None:
        """The all-stop ended this run's work: it waits, and what was under way is judged when it goes on."""
        await self._ledger.release(
            lease,
            (await self._definition_of(row.version_id)).name,
            RunState.WAITING,
            reason="ended by the all-stop",
            waiting_for=Waiting.ALL_STOP,
            wake_at=self._clock.now() + timedelta(seconds=5),
        )
        self._after_commit()

    # --- one step -----------------------------------------------------------------------------------

    async def _step(self, walk: _Walk, following: Next) -> _Pause | None:
        spec, now = following.spec, self._clock.now()
        if walk.row.deadline is not None and now >= walk.row.deadline and following.phase is Phase.ACTIONS:
            await self._record_failure(walk, following, now, None, "the run's own time limit has passed")
            return None
        kind = registry()[spec.type]
        try:
            scope = await self._scope(walk, spec)
            if (
                spec.condition
                and not following.begun
                and not truth(await self._render(spec.condition.render, scope))
            ):
                await self._record(walk, following, StepState.SKIPPED, now, EffectClass.PURE)
                return None
            arguments: JsonObject = await self._render(
                lambda scope, state=None: kind.arguments(spec.params, scope, state), scope
            )
        except MillwrightError as error:
            await self._record_failure(walk, following, now, None, str(error))
            return None
        effect = EffectClass(spec.effect) if spec.effect else kind.effect(spec.params)
        closed = await self._plant_state(walk, effect, scope)
        if closed:
            return _Pause(Waiting.PLANT_STATE, closed, now + timedelta(seconds=PLANT_STATE_EVERY))
        verdict = await self._intend(walk, following, now, effect, arguments)
        if verdict.outcome is Decision.HOLD:
            return _Pause(Waiting.ALL_STOP, verdict.reason, now + timedelta(seconds=5))
        if verdict.outcome is Decision.DENY:
            await self._record_failure(walk, following, now, arguments, f"refused: {verdict.reason}", effect)
            return None
        return await self._act(walk, following, now, effect, arguments)

    async def _scope(self, walk: _Walk, spec: StepSpec) -> dict[str, Any]:
        keys = set(spec.cache_keys)
        if not keys:
            return step_scope(walk.base, walk.progress, {}, spec)
        async with self._ledger.pool.connection() as connection:
            values = await cache.read(connection, keys)
        return step_scope(walk.base, walk.progress, values, spec)

    async def _plant_state(self, walk: _Walk, effect: EffectClass, scope: dict[str, Any]) -> str:
        """Why the plant's state holds this effect back; empty when it does not.

        A value that is stale or absent closes the gate, whatever the condition would make of it.
        """
        gate = walk.definition.gate
        if gate is None or effect is EffectClass.PURE:
            return ""
        try:
            if truth(await self._render(gate.plant_state.render, scope, strict=True)):
                return ""
        except MillwrightError as error:
            return f"the plant's state is not known: {error}"
        return f"the plant's state does not allow it: {gate.plant_state.source}"

    async def _render(
        self, render: Callable[..., Any], scope: dict[str, Any], *, strict: bool = False
    ) -> Any:
        """Render; each topic that ``state()`` asks for is fetched once and the expression tried again.

        With ``strict`` a topic without a fresh value is an error instead of none.
        """
        known: dict[str, JsonValue] = {}

        def reader(topic: str, max_age: timedelta | None) -> JsonValue:
            key = f"{topic}|{max_age.total_seconds() if max_age else ''}"
            if key not in known:
                raise StateNeeded(topic, max_age)
            return known[key]

        for _ in range(STATE_READS):
            try:
                return render(scope, state=reader)
            except StateNeeded as needed:
                async with self._ledger.pool.connection() as connection:
                    value = await read_state(connection, needed.topic, needed.max_age, self._clock.now())
                if strict and value is None:
                    raise ExpressionError(f"{needed.topic} has no value that is recent enough") from None
                age = needed.max_age.total_seconds() if needed.max_age else ""
                known[f"{needed.topic}|{age}"] = value
        raise ExpressionError(f"state() may look up at most {STATE_READS} topics here", 0)

    async def _intend(
        self, walk: _Walk, following: Next, now: datetime, effect: EffectClass, arguments: JsonObject
    ) -> Verdict:
        """Pass the gate; for anything but pure steps commit the intent and its audit record first (P3)."""
        spec, row = following.spec, walk.row
        action = Action(
            kind=spec.type,
            effect=effect.value,
            arguments=arguments,
            principal=row.principal,
            ceiling=(walk.definition.principal or Role.OPERATOR).value,
            run_id=row.id,
            step_id=spec.id,
            origin=row.origin,
            task=walk.definition.name,
        )
        async with self._ledger.transaction() as connection:
            verdict = await self._gate.pass_(connection, action)
            if verdict.outcome is Decision.ALLOW and effect is not EffectClass.PURE:
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
                    checkpoint=following.resumed_from,
                )
                entry = AuditEntry(
                    kind="step.intent",
                    principal=row.principal,
                    subject=f"{row.id}/{spec.id}",
                    detail={
                        "task": walk.definition.name,
                        "kind": spec.type,
                        "effect": effect.value,
                        "arguments": arguments,
                        "attempt": following.attempt,
                        "rule": verdict.rule,
                    },
                    at=now,
                )
                await self._flush(walk, connection, [write], [entry])
            else:
                await self._flush(walk, connection, [])
        return verdict

    async def _act(
        self, walk: _Walk, following: Next, now: datetime, effect: EffectClass, arguments: JsonObject
    ) -> _Pause | None:
        spec, row = following.spec, walk.row
        kind = registry()[spec.type]
        timeout = spec.timeout.total_seconds() if spec.timeout else kind.default_timeout
        if row.deadline is not None and following.phase is Phase.ACTIONS:
            timeout = max(0.05, min(timeout, (row.deadline - now).total_seconds()))
        context = self._context(walk, following, now, timeout, kind.default_ok_exit(spec.params))
        try:
            async with asyncio.timeout(timeout + 10):
                result = await kind.perform(arguments, context)
        except TargetAway as away:
            if not (away.maybe_done and effect is EffectClass.UNSAFE):
                return await self._away(walk, following, now, effect, arguments, away)
            result = StepResult(Status.UNKNOWN, error=str(away))
        except TimeoutError:
            result = StepResult(Status.UNKNOWN, error=f"no answer after {timeout:g} s")
        except MillwrightError as error:
            result = StepResult.failed(str(error), retryable=not error.permanent)
        return await self._settle(walk, following, now, effect, arguments, result)

    def _context(
        self, walk: _Walk, following: Next, now: datetime, timeout: float, ok_exit: tuple[int, ...]
    ) -> StepContext:
        spec, row = following.spec, walk.row
        emit, run_id, step = self._on_output, str(row.id), spec.id
        return StepContext(
            run_id=row.id,
            step_id=spec.id,
            task_id=row.task_id,
            task_name=walk.definition.name,
            attempt=following.attempt,
            key=f"{row.id}/{spec.id}",
            principal=row.principal,
            priority=row.priority,
            now=now,
            timeout=timeout,
            ok_exit=spec.ok_exit if spec.ok_exit is not None else ok_exit,
            services=self._services,
            connect=self._ledger.transaction,
            on_output=(lambda stream, data: emit(run_id, step, stream, data)) if emit else None,
            resumed_from=following.resumed_from,
            confirm=spec.confirm,
            run_started_at=row.created_at,
            chain=chain if isinstance(chain := row.inputs.get("chain"), int) else 0,
            depth=depth if isinstance(depth := row.inputs.get("depth"), int) else 0,
        )

    # --- what came of it ----------------------------------------------------------------------------

    async def _settle(
        self,
        walk: _Walk,
        following: Next,
        started: datetime,
        effect: EffectClass,
        arguments: JsonObject,
        result: StepResult,
    ) -> _Pause | None:
        if result.status is Status.UNKNOWN and effect is not EffectClass.UNSAFE:
            result = replace(result, status=Status.FAILED)
        if result.status is Status.FAILED:
            return await self._failed(walk, following, started, effect, arguments, result)
        states = {
            Status.SUCCEEDED: StepState.SUCCEEDED,
            Status.HANDED_OVER: StepState.HANDED_OVER,
            Status.WAITING: StepState.WAITING,
            Status.UNKNOWN: StepState.AMBIGUOUS,
        }
        await self._record(
            walk, following, states[result.status], started, effect, arguments=arguments, result=result
        )
        if result.status is Status.WAITING:
            return _Pause(Waiting(result.waiting_for or "timer"), f"step {following.spec.id}", result.wake_at)
        return None

    async def _failed(
        self,
        walk: _Walk,
        following: Next,
        started: datetime,
        effect: EffectClass,
        arguments: JsonObject | None,
        result: StepResult,
    ) -> _Pause | None:
        spec = following.spec
        again = result.retryable and following.attempt < attempts_allowed(spec)
        due = None
        if again and spec.retry:
            due = self._clock.now() + spec.retry.delay_before(following.attempt + 1)
        await self._record(
            walk, following, StepState.FAILED, started, effect, arguments=arguments, result=result, due_at=due
        )
        if due is None:
            settle_failure(walk.progress, spec, following.phase, result.error)
            return None
        pause = due - self._clock.now()
        if pause <= timedelta(seconds=1):
            await asyncio.sleep(max(0.0, pause.total_seconds()))
            return None
        return _Pause(Waiting.RETRY, f"step {spec.id}: {result.error}", due)

    async def _record_failure(
        self,
        walk: _Walk,
        following: Next,
        started: datetime,
        arguments: JsonObject | None,
        error: str,
        effect: EffectClass = EffectClass.PURE,
    ) -> None:
        result = StepResult.failed(error, retryable=False)
        await self._failed(walk, following, started, effect, arguments, result)

    async def _away(
        self,
        walk: _Walk,
        following: Next,
        started: datetime,
        effect: EffectClass,
        arguments: JsonObject,
        away: TargetAway,
    ) -> _Pause | None:
        """The target is away and nothing was done: wait for it, as long as the step's author allows."""
        spent = int((following.resumed_from or {}).get("away", 0)) + 1  # type: ignore[arg-type]
        result = StepResult(
            Status.WAITING, error=str(away), checkpoint={**(following.resumed_from or {}), "away": spent}
        )
        await self._record(
            walk, following, StepState.WAITING, started, effect, arguments=arguments, result=result
        )
        wake = self._clock.now() + timedelta(seconds=delay(spent, base=0.5, cap=AWAY_RETRY_CAP))
        return _Pause(Waiting.NETWORK, str(away), wake)

    async def _record(
        self,
        walk: _Walk,
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
            detail=result.detail,
            stderr=result.stderr,
            error=result.error,
            checkpoint=result.checkpoint,
            due_at=due_at,
        )
        walk.progress.take(_as_row(write))
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
        walk: _Walk,
        connection: AsyncConnection[Any],
        writes: Sequence[StepWrite],
        audit: Sequence[AuditEntry] = (),
    ) -> None:
        """Write these rows, after the results that were kept back for this transaction."""
        waiting, walk.pending = walk.pending, []
        if waiting or writes:
            rows = [*waiting, *writes]
            await self._ledger.write_steps(connection, walk.lease, walk.definition.name, rows, audit)

    # --- the end ------------------------------------------------------------------------------------

    def _warning(self, walk: _Walk) -> str:
        return "; ".join(walk.progress.warnings)

    async def _finish(self, walk: _Walk) -> None:
        failure = walk.progress.failure
        state = RunState.FAILED if failure else RunState.SUCCEEDED
        await self._ledger.release(
            walk.lease,
            walk.definition.name,
            state,
            reason=failure,
            warning=self._warning(walk),
            handed_over=walk.progress.handed_over,
            writes=walk.pending,
        )
        self._after_commit()

    async def _pause(self, walk: _Walk, pause: _Pause) -> None:
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

    def _until(self, walk: _Walk, wake_at: datetime | None) -> datetime | None:
        """A run does not sleep past its own time limit."""
        if wake_at is None or walk.row.deadline is None or walk.progress.failure:
            return wake_at
        return min(wake_at, walk.row.deadline)

    async def _pause_ambiguous(self, walk: _Walk, found: Ambiguous) -> None:
        latest = walk.progress.latest[found.step]
        if latest.state is not StepState.AMBIGUOUS:
            await self._mark_ambiguous(walk, latest)
        reason = (
            f"step {found.step} was under way when its worker stopped; whether it took effect is not known"
            if not latest.error
            else f"step {found.step}: {latest.error}; whether it took effect is not known"
        )
        await self._pause(walk, _Pause(Waiting.AMBIGUOUS, reason))

    async def _mark_ambiguous(self, walk: _Walk, row: StepRow) -> None:
        spec = next(s for s in (*walk.definition.actions, *walk.definition.on_failure) if s.id == row.step)
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


def _as_row(write: StepWrite) -> StepRow:
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
