"""One run of instant steps on its way through the reactor: decided here, committed by the committer.

It is walked with the same plan, names and gate as a run of the worker lane; only the rows are collected
instead of written, and steps that do not act are done at once.
"""

from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from appliance.accounts.domain import Role
from appliance.actions.contract import EffectClass, StateReader, Status, StepResult
from appliance.actions.registry import registry
from appliance.audit.services import AuditEntry
from appliance.escalations.domain import NewEscalation
from appliance.expressions import ExpressionError, truth
from appliance.lib.errors import MillwrightError
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.lib.plain import plain, plain_object, plain_text
from appliance.outbox.ports import OutboxItem
from appliance.runs.domain import RunState, StepState, Waiting
from appliance.runs.effects import acts, effect_of
from appliance.runs.intents import refusal_of, with_gate
from appliance.runs.plan import Ambiguous, Next, Progress, attempts_allowed, next_step, settle_failure
from appliance.runs.reflex.intent import Decide, End, Intent, at_once
from appliance.runs.rows import StepWrite, as_row
from appliance.runs.scope import step_scope
from appliance.safety.gate import Action, Decision
from appliance.tasks.definition import StepSpec, TaskDefinition
from appliance.tasks.definition.header import Gate
from appliance.tasks.matching import event_scope
from appliance.tasks.ports import NewRun


@dataclass(slots=True, eq=False)
class Flight:
    """``writes`` and ``outbox`` are what the next commit takes; ``end`` is set when nothing is left to do."""

    run: NewRun
    created_at: datetime
    base: JsonObject
    progress: Progress = field(default_factory=Progress)
    writes: list[StepWrite] = field(default_factory=list)
    outbox: list[OutboxItem] = field(default_factory=list)
    escalations: list[NewEscalation] = field(default_factory=list)
    """What has to be acknowledged of ``outbox``; rare, so it is written beside the group's own statement."""
    end: End | None = None
    refused: list[AuditEntry] = field(default_factory=list)
    """What the audit record gets of the steps that the gate denied."""
    run_id: str = ""
    """The run's identifier as text, made once."""
    is_bare: bool = False
    """Whether its steps were left out, because its rows could not be written with them."""

    @classmethod
    def of(cls, run: NewRun, now: datetime) -> "Flight":
        base = event_scope(run.definition, run.inputs, now)
        run_id = str(run.id)
        base["run"] = {"id": run_id, "origin": run.origin, "trigger": run.trigger}
        return cls(run, now, base, run_id=run_id)

    @property
    def definition(self) -> TaskDefinition:
        return self.run.definition

    @property
    def occurrence_id(self) -> UUID:
        assert self.run.occurrence_id is not None
        return self.run.occurrence_id

    @property
    def warning(self) -> str:
        return "; ".join(self.progress.warnings)

    def advance(self, now: datetime, decide: Decide, state: StateReader, perform: "Perform") -> Intent | None:
        """Do every step that does not act, up to one that does; its intent, or None when the run has ended."""
        while self.end is None:
            following = next_step(self.definition, self.progress)
            if following is None or isinstance(following, Ambiguous):
                self.end = self._finished()
                return None
            try:
                intent = self._step(following, now, decide, state)
            except MillwrightError as error:
                self.failed(
                    following, EffectClass.PURE, None, StepResult.failed(str(error), retryable=False), now
                )
                continue
            if intent is None:
                continue
            if intent.action.acts:
                return intent
            self.settle(intent, at_once(perform(self, intent)), now)
        return None

    def _step(self, following: Next, now: datetime, decide: Decide, state: StateReader) -> Intent | None:
        """The step's intent; None where it was skipped, refused, or holds the run back."""
        spec = following.spec
        kind = registry()[spec.type]
        scope = step_scope(self.base, self.progress, {}, spec)
        if spec.condition and not truth(spec.condition.render(scope, state=state)):
            self._write(
                following, StepState.SKIPPED, EffectClass.PURE, None, StepResult(Status.SUCCEEDED), now
            )
            return None
        arguments = plain_object(kind.arguments(spec.params, scope, state))
        effect = effect_of(spec)
        if acts(spec) and any(_is_closed(gate, scope, state) for gate in self._gates(spec)):
            self.hand_over("the plant's state holds it back")
            return None
        action = self._action(spec, effect, arguments)
        verdict = decide(action)
        if verdict.outcome in (Decision.HOLD, Decision.ASK):
            self.hand_over(verdict.reason)
            return None
        if verdict.outcome is Decision.DENY:
            refused = StepResult.failed(f"refused: {verdict.reason}", retryable=False)
            self.refused.append(refusal_of(action, verdict, following.attempt, now))
            self.failed(following, effect, arguments, refused, now, rule=verdict.rule)
            return None
        return Intent(following, effect, arguments, action, verdict.rule, now, verdict.stop, verdict.charges)

    def _gates(self, spec: StepSpec) -> list[Gate]:
        """The task's own conditions on the plant, and the step's."""
        return [gate for gate in (self.definition.gate, spec.gate) if gate is not None]

    def asks_the_plant(self, intent: Intent) -> bool:
        """Whether what was asked before the intent must be asked again where that was a while ago."""
        spec = intent.following.spec
        return acts(spec) and bool(self._gates(spec))

    def _action(self, spec: StepSpec, effect: EffectClass, arguments: JsonObject) -> Action:
        return Action(
            kind=spec.type,
            effect=effect.value,
            arguments=arguments,
            principal=self.run.principal,
            ceiling=(self.definition.principal or Role.OPERATOR).value,
            run_id=self.run.id,
            step_id=spec.id,
            origin=self.run.origin,
            also=self.run.also,
            task=self.definition.name,
            acts=acts(spec),
            budget=self.definition.budget,
        )

    # --- what came of a step ------------------------------------------------------------------------

    def settle(self, intent: Intent, result: StepResult, now: datetime) -> None:
        """Take a step's result. What this lane cannot end by itself is handed over to the worker lane."""
        following, effect = intent.following, intent.effect
        if result.status in (Status.FAILED, Status.UNKNOWN):
            failure = replace(result, status=Status.FAILED)
            self.failed(following, effect, intent.arguments, failure, now, intent.at, intent.rule)
            return
        if result.status is Status.WAITING:
            self._write(
                following,
                StepState.WAITING,
                effect,
                intent.arguments,
                result,
                now,
                intent.at,
                rule=intent.rule,
            )
            reason = Waiting(result.waiting_for or Waiting.TIMER)
            self.end = End(RunState.WAITING, f"step {following.spec.id}", reason, result.wake_at)
            return
        state = StepState.HANDED_OVER if result.status is Status.HANDED_OVER else StepState.SUCCEEDED
        self._write(following, state, effect, intent.arguments, result, now, intent.at, rule=intent.rule)
        self.outbox.extend(result.outbox)
        if result.escalations:
            self.escalations.extend(result.escalations)

    def failed(
        self,
        following: Next,
        effect: EffectClass,
        arguments: JsonObject | None,
        result: StepResult,
        now: datetime,
        started: datetime | None = None,
        rule: str = "",
    ) -> None:
        spec = following.spec
        due = None
        if result.retryable and spec.retry and following.attempt < attempts_allowed(spec):
            due = now + spec.retry.delay_before(following.attempt + 1)
        self._write(following, StepState.FAILED, effect, arguments, result, now, started, due, rule)
        if due is None:
            settle_failure(self.progress, spec, following.phase, result.error)
        else:
            self.end = End(RunState.WAITING, f"step {spec.id}: {result.error}", Waiting.RETRY, due)

    def away(self, intent: Intent, reason: str) -> None:
        """The target is away: the worker lane does this step again when its time comes."""
        self._not_done(intent, reason, tried=1)
        again = intent.at + timedelta(seconds=0.5)
        self.end = End(RunState.WAITING, reason, Waiting.NETWORK, again, intent.target)

    def hand_over(self, reason: str, intent: Intent | None = None) -> None:
        """A worker takes the run as it stands; it meets the same gate and waits there if it must.

        ``intent`` is what was to act and did not.
        """
        if intent is not None:
            self._not_done(intent, reason, tried=0)
        self.end = End(RunState.QUEUED, reason)

    def stand_behind(self, intent: Intent) -> None:
        """Older runs wait for its target: a worker takes the run, and nobody younger goes before it until then."""
        target = intent.target
        reason = f"earlier runs wait for {target}"
        self._not_done(intent, reason, tried=0)
        self.end = End(RunState.QUEUED, reason, target=target)

    def _not_done(self, intent: Intent, reason: str, tried: int) -> None:
        """On record as waiting, and since when it was to act: ``valid_for`` counts from then."""
        self._write(
            intent.following, StepState.WAITING, intent.effect, intent.arguments,
            StepResult(Status.WAITING, error=reason, checkpoint={"away": tried}), intent.at, intent.at,
        )  # fmt: skip

    def _finished(self) -> End:
        if self.progress.failure:
            return End(RunState.FAILED, self.progress.failure)
        if self.progress.handed_over:
            return End(RunState.WAITING, "", Waiting.DELIVERY)
        return End(RunState.SUCCEEDED)

    def _write(
        self,
        following: Next,
        state: StepState,
        effect: EffectClass,
        arguments: JsonObject | None,
        result: StepResult,
        now: datetime,
        started: datetime | None = None,
        due_at: datetime | None = None,
        rule: str = "",
    ) -> None:
        write = StepWrite(
            step=following.spec.id,
            attempt=following.attempt,
            position=following.position,
            phase=following.phase,
            kind=following.spec.type,
            effect=effect,
            state=state,
            started_at=started or now,
            finished_at=None if state in (StepState.INTENT, StepState.WAITING) else now,
            input=arguments,
            output=plain(result.output),
            detail=plain_object(detail) if (detail := with_gate(result.detail, rule)) else None,
            error=plain_text(result.error),
            checkpoint=plain_object(result.checkpoint) if result.checkpoint else None,
            due_at=due_at,
        )
        self.writes.append(write)
        self.progress.take(as_row(write))


def _is_closed(gate: Gate, scope: JsonObject, state: StateReader) -> bool:
    """A stale or absent value closes the gate, whatever the condition makes of it."""

    def strict(topic: str, max_age: timedelta | None) -> JsonValue:
        value = state(topic, max_age)
        if value is None:
            raise ExpressionError(f"{topic} has no value that is recent enough")
        return value

    try:
        return not truth(gate.plant_state.render(scope, state=strict))
    except MillwrightError:
        return True


class Perform(Protocol):
    """Performs one step; wired by the lane."""

    def __call__(self, flight: Flight, intent: Intent) -> Coroutine[Any, Any, StepResult]: ...


Launched = tuple[Flight, Intent | None]
"""A run as it leaves, with the intent that its first commit carries."""
