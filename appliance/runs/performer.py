"""Performs one claimed run, step by step: decide, pass the gate, record the intent, act, record the result."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from appliance.actions.contract import (
    EffectClass,
    Services,
    SplitKind,
    Status,
    StepResult,
    TargetAway,
)
from appliance.actions.registry import registry
from appliance.expressions import truth
from appliance.lib.clock import Clock, Moment
from appliance.lib.crashpoints import reach
from appliance.lib.errors import MillwrightError
from appliance.lib.jsontypes import JsonObject
from appliance.lib.leaving import Leaving
from appliance.runs.approving import RULE
from appliance.runs.checkpoints import CheckpointStore, with_checkpoints
from appliance.runs.domain import Lease, StepState, Waiting
from appliance.runs.holding import held_by_gate
from appliance.runs.ledger import Ledger
from appliance.runs.passage import Passage
from appliance.runs.places import Places
from appliance.runs.plan import (
    Ambiguous,
    Next,
    Phase,
    next_step,
    replay,
)
from appliance.runs.recorder import Recorder
from appliance.runs.renderer import Renderer
from appliance.runs.rows import LeaseLost, RunRow, StepWrite
from appliance.runs.settling import AT_ONCE, Settler
from appliance.runs.shards.body import Body, asked_back, bring
from appliance.runs.shards.joining import kept_input
from appliance.runs.shards.splitter import Splitter
from appliance.runs.step_context import context_of, limit_of
from appliance.runs.validity import is_too_late, not_beyond, too_late, valid_until, waits_at_most
from appliance.runs.walk import Pause, Walk
from appliance.safety.gate import Decision, Gate
from appliance.safety.understood import Understood
from appliance.tasks.definition import TaskDefinition
from appliance.tasks.matching import event_scope

PROOF_HOLDS = 1.0
"""Seconds for which a worker acts on what the database last said of its lease; after that it asks again."""


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
        on_ended: Callable[[str, str], None] = lambda run_id, step: None,
        after_outbox: Callable[[], None] = lambda: None,
        after_commit: Callable[[], None] = lambda: None,
    ) -> None:
        self._ledger = ledger
        self._services = services
        self._clock = clock
        self.leaving = Leaving()
        self._definition_of = definition_of
        self._on_output = on_output
        self._on_ended = on_ended
        self._renderer = Renderer(ledger, clock)
        self._checkpoints = CheckpointStore(ledger)
        self._passage = Passage(ledger, gate, clock)
        self._places = Places(ledger)
        self._recorder = Recorder(ledger, clock, after_outbox, after_commit)
        self._settler = Settler(self._recorder, clock)
        self._splitter = Splitter(ledger, self._recorder, self._passage, self._renderer, services, clock)

    async def perform(self, row: RunRow, lease: Lease, kept: list[StepWrite] | None = None) -> None:
        """``kept`` has the results that are not written yet, for whoever ends this from outside."""
        whole: TaskDefinition = await self._definition_of(row.version_id)
        went_before = row.epoch > 1 or bool(row.forked_at_step) or row.undo_requested
        rows = await self._ledger.steps(row.id) if went_before else []
        body = Body(whole, row)
        definition = body.now({one.step: one for one in rows})
        walk = Walk(
            row,
            lease,
            definition,
            replay(definition, rows),
            event_scope(definition, row.inputs, row.created_at),
            lease.claimed,
            pending=[] if kept is None else kept,
        )
        if went_before:
            walk.checkpointed = await self._checkpoints.steps_with(row.id)
        walk.progress.undo_requested, walk.progress.undo_only = row.undo_requested, asked_back(row)
        walk.base["run"] = {"id": str(row.id), "origin": row.origin, "trigger": row.trigger}
        walk.some_away = row.some_away
        walk.in_line = await self._places.of_claimed(row)
        bring(row, walk.base, walk.progress)
        if row.cancel_requested:
            await self.cancelled(row, lease)
            return
        while True:
            following = next_step(walk.definition, walk.progress)
            if following is None:
                await self._recorder.finish(walk)
                return
            if isinstance(following, Ambiguous):
                await self._recorder.pause_ambiguous(walk, following)
                return
            if self.leaving.is_said:
                await self._recorder.give_back(walk)
                return
            pause = await self._step(walk, following)
            if pause is not None:
                await self._recorder.pause(
                    walk, not_beyond(pause, valid_until(following.spec, walk.progress))
                )
                return
            if body.grows:
                walk.definition = body.now(walk.progress.latest)

    async def cancelled(self, row: RunRow, lease: Lease, kept: Sequence[StepWrite] = ()) -> None:
        """A person ended the run while it was under way."""
        await self._recorder.cancelled(lease, (await self._definition_of(row.version_id)).name, kept)

    async def held(self, row: RunRow, lease: Lease, kept: Sequence[StepWrite] = ()) -> None:
        """The all-stop ended the run's work."""
        await self._recorder.held(lease, (await self._definition_of(row.version_id)).name, kept)

    async def left(self, row: RunRow, lease: Lease, kept: Sequence[StepWrite]) -> None:
        """The worker stops under the run: what is known of its steps is written, the rest is for recovery."""
        if kept:
            await self._recorder.left(lease, (await self._definition_of(row.version_id)).name, kept)

    # --- one step -----------------------------------------------------------------------------------

    async def _step(self, walk: Walk, following: Next) -> Pause | None:
        spec, now = following.spec, self._clock.now()
        if walk.row.deadline is not None and now >= walk.row.deadline and following.phase is Phase.ACTIONS:
            await self._settler.refuse(walk, following, now, None, "the run's own time limit has passed")
            return None
        if is_too_late(spec, walk.progress, now):
            await self._settler.refuse(walk, following, now, None, too_late(spec, walk.progress))
            return None
        if spec.proposed and spec.proposed.gone:
            await self._settler.refuse(walk, following, now, None, spec.proposed.gone)
            return None
        pause = following.not_before - now if following.not_before and spec.retry else timedelta()
        # Longer than it can be: the clock was set back, and nobody waits until it is there again.
        if spec.retry and AT_ONCE < pause <= spec.retry.delay_before(following.attempt) + AT_ONCE:
            # A crash between a failed attempt and its pause, or somebody who woke the run: the next is not due.
            return Pause(Waiting.RETRY, f"step {spec.id}: another attempt is due", following.not_before)
        kind = registry()[spec.type]
        try:
            scope = await self._renderer.scope(walk, spec)
            if (
                spec.condition
                and not following.begun
                and not truth(await self._renderer.render(spec.condition.render, scope))
            ):
                await self._recorder.record(walk, following, StepState.SKIPPED, now, EffectClass.PURE)
                return None
            arguments = kept_input(following) or await self._renderer.arguments(kind, spec.params, scope)
        except MillwrightError as error:
            await self._settler.refuse(walk, following, now, None, str(error))
            return None
        effect = EffectClass(spec.effect) if spec.effect else kind.effect(spec.params)
        walk.closed = await self._renderer.plant_state(walk, spec, scope)
        target = kind.target(arguments)
        if spec.proposed and spec.proposed.held_back:
            verdict = await self._passage.would(walk, spec, effect, arguments)
            await self._settler.held_back(walk, following, now, effect, arguments, verdict)
            return None
        if await self._places.is_behind(walk, target):
            return await self._stand_behind(walk, following, now, effect, arguments, target)
        reach("worker.before_intent")
        known = walk.progress.first_wanted.setdefault(spec.id, now) is not now
        verdict = await self._passage.intend(walk, following, now, effect, arguments)
        if verdict.outcome is Decision.ASK:
            states = await self._renderer.states(walk, spec, partial(kind.arguments, spec.params), scope)
            verdict = await self._passage.ask(walk, following, now, effect, arguments, states)
        if verdict.outcome is Decision.ASK:
            return Pause(Waiting.APPROVAL, verdict.reason, walk.asked_until)
        if verdict.outcome is Decision.HOLD:
            if waits_at_most(spec) and not known:
                # Since when it waits is to be known when the run goes on.
                await self._settler.held(walk, following, now, effect, arguments, verdict.reason)
            return held_by_gate(verdict, now)
        if verdict.outcome is Decision.DENY:
            said = verdict.reason if verdict.rule.startswith(RULE) else f"refused: {verdict.reason}"
            await self._settler.refuse(walk, following, now, arguments, said, effect)
            return None
        reach("worker.after_intent")
        return await self._act(walk, following, now, effect, arguments, verdict.command)

    async def _act(
        self,
        walk: Walk,
        following: Next,
        now: datetime,
        effect: EffectClass,
        arguments: JsonObject,
        command: Understood | None,
    ) -> Pause | None:
        spec, kind = following.spec, registry()[following.spec.type]
        target = kind.target(arguments)
        try:
            await kind.reach(arguments, self._services, patience=0)
        except TargetAway as away:
            return await self._settler.away(walk, following, now, effect, arguments, away, target)
        # Again, with what the intent's commit says: somebody may have joined the line meanwhile.
        if await self._places.is_behind(walk, target):
            return await self._stand_behind(walk, following, now, effect, arguments, target)
        timeout, until = limit_of(walk, following, kind, now), valid_until(spec, walk.progress)
        left = until - self._clock.now() if until else None
        context = context_of(
            walk, following, kind, self._services, self._ledger.transaction, self._on_output,
            command, now, timeout, left, self.leaving, self._passage.own_agent,
        )  # fmt: skip
        context, saved = await with_checkpoints(self._checkpoints, walk, following, context)
        await self._still_ours(walk)
        stopped = self._passage.stopped(walk, spec, effect, arguments)
        if stopped is not None:
            await self._settler.held(walk, following, now, effect, arguments, stopped.reason)
            return held_by_gate(stopped, self._clock.now())
        # Again, for what went before may have taken its time.
        if is_too_late(spec, walk.progress, self._clock.now()):
            said = too_late(spec, walk.progress)
            await self._settler.refuse(walk, following, now, arguments, said, effect)
            return None
        try:
            async with asyncio.timeout(timeout + 10):
                if isinstance(kind, SplitKind):
                    result = await self._splitter.perform(walk, following, arguments)
                else:
                    result = await kind.perform(arguments, context)
        except TargetAway as away:
            if not (away.maybe_done and effect is EffectClass.UNSAFE):
                return await self._settler.away(walk, following, now, effect, arguments, away, target)
            result = StepResult(Status.UNKNOWN, error=str(away))
        except TimeoutError:
            result = StepResult(Status.UNKNOWN, error=f"no answer after {timeout:g} s")
        except MillwrightError as error:
            result = StepResult.failed(str(error), retryable=not error.permanent)
        finally:
            self._on_ended(str(walk.row.id), spec.id)
        reach("worker.after_effect")
        # Outside of what is judged above: a version that cannot be kept makes no failure of what was done.
        await saved.flush()
        if result.interrupted and effect is not EffectClass.UNSAFE:
            return None  # its intent stands: it is the next step of whoever has the run then
        return await self._settler.settle(walk, following, now, effect, arguments, result)

    async def _stand_behind(
        self,
        walk: Walk,
        following: Next,
        now: datetime,
        effect: EffectClass,
        arguments: JsonObject,
        target: str,
    ) -> Pause | None:
        """Take a place and look once more: who was before it may have gone meanwhile, and would wake nobody."""
        pause = await self._settler.behind(walk, following, now, effect, arguments, target)
        return pause if await self._places.is_behind(walk, target) else None

    async def _still_ours(self, walk: Walk) -> None:
        """Stop before the effect where this process stood still and another took the run (P4). Raises LeaseLost.

        Nothing is asked where the last write just said so. A lease is not trusted up to its end: a step of
        the database's clock, or a new worker in this one's place, ends it before.
        """
        if walk.proven.within(PROOF_HOLDS, self._clock):
            return
        asked = Moment.of(self._clock)
        if not await self._ledger.renew([walk.lease]):
            raise LeaseLost(f"run {walk.row.id} is held by another worker")
        walk.proven = asked
