"""What a run of the reflex lane is about to do, and how it ends."""

from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from appliance.actions.contract import EffectClass, StepResult
from appliance.actions.registry import registry
from appliance.lib.jsontypes import JsonObject
from appliance.runs.domain import RunState, Waiting
from appliance.runs.plan import Next
from appliance.safety.budgets.domain import Charge
from appliance.safety.gate import Action, Verdict
from appliance.safety.stop import AllStop


class Decide(Protocol):
    """The gate, for a switch that was read with the last commit."""

    def __call__(self, action: Action) -> Verdict: ...


@dataclass(frozen=True, slots=True)
class Intent:
    """A step that passed the gate and must not act before its audit record is committed."""

    following: Next
    effect: EffectClass
    arguments: JsonObject
    action: Action
    rule: str
    at: datetime
    stop: AllStop
    """The switch as it stood when the step was allowed."""
    charges: tuple[Charge, ...] = ()

    @property
    def target(self) -> str:
        """What is acted on, where runs that wait for it do so in order."""
        return registry()[self.following.spec.type].target(self.arguments)


@dataclass(frozen=True, slots=True)
class End:
    """What the run's row will say. A state that is not final hands the run over to the worker lane."""

    state: RunState
    reason: str = ""
    waiting_for: Waiting | None = None
    wake_at: datetime | None = None
    target: str = ""
    """In whose line the run waits."""


def at_once(work: Coroutine[Any, Any, StepResult]) -> StepResult:
    """The result of a step that does not act: it has nothing to wait for."""
    try:
        work.send(None)
    except StopIteration as done:
        result: StepResult = done.value
        return result
    work.close()
    raise RuntimeError("an instant step that does not act must not wait")
