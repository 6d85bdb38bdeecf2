"""What came of a step: its result on record, another attempt, or a pause."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

from appliance.actions.contract import EffectClass, Status, StepResult, TargetAway
from appliance.lib.backoff import delay
from appliance.lib.clock import Clock
from appliance.lib.crashpoints import reach
from appliance.lib.jsontypes import JsonObject
from appliance.runs.away import LOOK_AGAIN, Place
from appliance.runs.domain import StepState, Waiting
from appliance.runs.plan import Next, attempts_allowed, settle_failure
from appliance.runs.recorder import Recorder
from appliance.runs.walk import Pause, Walk
from appliance.safety.gate import Verdict

AT_ONCE = timedelta(seconds=1)
"""A pause that is not worth giving the run up for."""
AWAY_RETRY_CAP = 10.0


class Settler:
    """Every method gives the pause that the run makes now, or None where it goes on."""

    def __init__(self, recorder: Recorder, clock: Clock) -> None:
        self._recorder = recorder
        self._clock = clock

    async def settle(
        self,
        walk: Walk,
        following: Next,
        started: datetime,
        effect: EffectClass,
        arguments: JsonObject,
        result: StepResult,
    ) -> Pause | None:
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
        await self._recorder.record(
            walk, following, states[result.status], started, effect, arguments=arguments, result=result
        )
        reach("worker.after_result")
        if result.status is Status.WAITING:
            return Pause(Waiting(result.waiting_for or "timer"), f"step {following.spec.id}", result.wake_at)
        return None

    async def _failed(
        self,
        walk: Walk,
        following: Next,
        started: datetime,
        effect: EffectClass,
        arguments: JsonObject | None,
        result: StepResult,
    ) -> Pause | None:
        spec = following.spec
        again = result.retryable and following.attempt < attempts_allowed(spec)
        due = None
        if again and spec.retry:
            due = self._clock.now() + spec.retry.delay_before(following.attempt + 1)
        await self._recorder.record(
            walk, following, StepState.FAILED, started, effect, arguments=arguments, result=result, due_at=due
        )
        if due is None:
            settle_failure(walk.progress, spec, following.phase, result.error)
            return None
        pause = due - self._clock.now()
        if pause <= AT_ONCE:
            await asyncio.sleep(max(0.0, pause.total_seconds()))
            return None
        return Pause(Waiting.RETRY, f"step {spec.id}: {result.error}", due)

    async def refuse(
        self,
        walk: Walk,
        following: Next,
        started: datetime,
        arguments: JsonObject | None,
        error: str,
        effect: EffectClass = EffectClass.PURE,
    ) -> None:
        result = StepResult.failed(error, retryable=False)
        await self._failed(walk, following, started, effect, arguments, result)

    async def held(
        self,
        walk: Walk,
        following: Next,
        started: datetime,
        effect: EffectClass,
        arguments: JsonObject,
        why: str,
    ) -> None:
        """A stop came after the intent was written, and nothing was done: the step begins anew when it is over."""
        result = StepResult(Status.WAITING, error=why, checkpoint=following.resumed_from)
        await self._recorder.record(
            walk, following, StepState.WAITING, started, effect, arguments=arguments, result=result
        )

    async def held_back(
        self,
        walk: Walk,
        following: Next,
        started: datetime,
        effect: EffectClass,
        arguments: JsonObject,
        verdict: Verdict,
    ) -> None:
        """Its agent's mode keeps it from being done: what it would have been is kept, with what the gate says."""
        walk.decided[following.spec.id] = verdict.rule
        said: JsonObject = {"held_back": True, "verdict": verdict.outcome.value, "because": verdict.reason}
        result = StepResult(Status.SUCCEEDED, detail=said)
        await self._recorder.record(
            walk, following, StepState.SKIPPED, started, effect, arguments=arguments, result=result
        )

    async def away(
        self,
        walk: Walk,
        following: Next,
        started: datetime,
        effect: EffectClass,
        arguments: JsonObject,
        away: TargetAway,
        target: str,
    ) -> Pause | None:
        """The target is away and nothing was done: wait for it, as long as the step's author allows.

        Where ``target`` names it, those that come later wait for their turn.
        """
        spent = int((following.resumed_from or {}).get("away", 0)) + 1  # type: ignore[arg-type]
        result = StepResult(
            Status.WAITING, error=str(away), checkpoint={**(following.resumed_from or {}), "away": spent}
        )
        place = Place(target, behind=False) if target else None
        await self._recorder.record(
            walk,
            following,
            StepState.WAITING,
            started,
            effect,
            arguments=arguments,
            result=result,
            place=place,
        )
        wake = self._clock.now() + timedelta(seconds=delay(spent, base=0.5, cap=AWAY_RETRY_CAP))
        return Pause(Waiting.NETWORK, str(away), wake)

    async def behind(
        self,
        walk: Walk,
        following: Next,
        started: datetime,
        effect: EffectClass,
        arguments: JsonObject,
        target: str,
    ) -> Pause:
        """Older runs wait for the same target: nothing was done, and the one before this wakes it."""
        said = f"earlier runs wait for {target}"
        # Not begun: its condition is asked again when its turn comes, as for one that has tried.
        checkpoint: JsonObject = {"away": 0, **(following.resumed_from or {})}
        result = StepResult(Status.WAITING, error=said, checkpoint=checkpoint)
        await self._recorder.record(
            walk,
            following,
            StepState.WAITING,
            started,
            effect,
            arguments=arguments,
            result=result,
            place=Place(target, behind=True),
        )
        again = delay(1, base=LOOK_AGAIN, cap=LOOK_AGAIN)
        return Pause(Waiting.NETWORK, said, self._clock.now() + timedelta(seconds=again))
