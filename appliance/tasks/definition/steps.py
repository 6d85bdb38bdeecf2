"""One action of a task."""

from datetime import timedelta
from functools import cached_property
from typing import Annotated, Any

from pydantic import Field, WithJsonSchema, field_validator, model_validator

from appliance.actions.contract import EffectClass, Params
from appliance.expressions.fields import ConditionField, names_in
from appliance.lib.said import say
from appliance.tasks.definition.base import CacheKey, Duration, Identifier, Model, Pause, refuse
from appliance.tasks.definition.header import Gate
from appliance.tasks.definition.vocabulary import Backoff, Confirm, OnError


class Retry(Model):
    """How often a failed step is tried, and how long it waits in between."""

    attempts: Annotated[int, Field(ge=1, le=100)] = 3
    """How often in all, the first time included."""
    delay: Pause = timedelta(seconds=1)
    """Before the second attempt."""
    backoff: Backoff = Backoff.EXPONENTIAL
    """`exponential` doubles the delay each time, `constant` does not."""
    max_delay: Pause = timedelta(minutes=5)
    """The longest delay."""

    def delay_before(self, attempt: int) -> timedelta:
        """How long to wait before the given attempt; the first one does not wait."""
        if attempt < 2:
            return timedelta()
        doublings = min(attempt - 2, 60) if self.backoff is Backoff.EXPONENTIAL else 0
        grown = self.delay.total_seconds() * float(1 << doublings)
        return timedelta(seconds=min(grown, self.max_delay.total_seconds()))


class StepCommon(Model):
    """The keys that every kind of action has."""

    id: Identifier | None = None
    """Its name: `outputs.<id>` is what it gave. Without one, its kind and its number:
    `shell-1`."""
    type: str
    """The kind of action."""
    condition: ConditionField | None = None
    """The step is skipped where this says no."""
    retry: Retry | None = None
    """Tries again after a failure; only where that cannot do the same thing twice."""
    timeout: Duration | None = None
    """The longest it may take."""
    on_error: OnError = OnError.STOP
    """`continue` goes on with the next step, and shows a warning."""
    ok_exit: tuple[Annotated[int, Field(ge=0, le=255)], ...] | None = None
    """Exit statuses that mean success. Without it 0, and also 1 where the last command is `grep`, `diff`,
    `cmp` or `test`: there it is an answer."""
    cache_key: CacheKey | None = None
    """Keeps the output under this name: `cache.<key>` reads it anywhere, `previous` here, in the next run."""
    safe_state: bool = False
    """A stop, a close, an off: never undone."""
    undo: Annotated[
        tuple[Any, ...], WithJsonSchema({"type": "array", "description": "an action, or a list of actions"})
    ] = ()
    """What takes its effect back. Done only where the task says `on_failure: undo`, or a person asks; there
    `output` is what this step gave. These actions have no id, no `undo` and no `safe_state` of their own."""
    effect: EffectClass | None = None
    """What a second execution would mean, where its author knows better than the kind."""
    gate: Gate | None = None
    """What the plant must be like for this step, beside what the task asks."""
    confirm: Confirm | None = None
    """`handed_over`: done when the outbox has it, instead of when it is delivered."""

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        short: dict[str, Any] = {}
        if isinstance(value.get("retry"), int) and not isinstance(value["retry"], bool):
            short["retry"] = {"attempts": value["retry"]}
        if isinstance(value.get("ok_exit"), int) and not isinstance(value["ok_exit"], bool):
            short["ok_exit"] = [value["ok_exit"]]
        return {**value, **short}

    @field_validator("ok_exit")
    @classmethod
    def _some_exit(cls, value: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if value == ():
            raise refuse(say("no exit status would mean success"), say("as in ok_exit: [0, 1]"))
        return value


class Proposal(Model):
    """What is to be kept of a step that nobody wrote: an agent has called for it."""

    word: str = ""
    """Why a person has to be asked before it, whatever the policy says; empty: as the policy says."""
    plan: str = ""
    """The step that has asked for it already, together with others of its turn."""
    digest: str = ""
    """Of what that step asked: an approval of anything else is none of this."""
    held_back: bool = False
    """It is not performed: only what the gate says of it is kept."""
    risk: str = ""
    """What it does to the world, as its agent's tool says: read, change or destroy."""
    outside: bool = True
    """Whether its agent had read what comes from outside."""
    gone: str = ""
    """Why it is not performed any more, though it is on record: this version of the box does not take it."""
    chosen: frozenset[str] = frozenset()
    """The arguments that the agent gave; the author of the task has fixed the others."""
    unless_read: str = ""
    """Why a person has to be asked after all, where the gate, which looks at the programs, does not call it a read."""
    must_read: bool = False
    """Where the gate does not call it a read, it is not done at all."""


class StepSpec(StepCommon):
    """An action as it was written: the common keys, and what its kind asks for."""

    id: str
    params: Params
    undo: tuple["StepSpec", ...] = ()
    undoes: str = ""
    """The step whose effect this one takes back."""
    proposed: Proposal | None = None
    """Set on what an agent has called for."""

    @cached_property
    def names(self) -> tuple[frozenset[str], frozenset[str]]:
        """The names that its expressions need, and those that may be missing."""
        return names_in([self.condition, self.gate, self.params])

    @cached_property
    def cache_keys(self) -> tuple[str, ...]:
        """The cached values that it reads: those that it names, and its own."""
        used = {name.partition(".")[2] for names in self.names for name in names if name.startswith("cache.")}
        return tuple(sorted(used | ({self.cache_key} if self.cache_key else set())))


COMMON_KEYS = frozenset(StepCommon.model_fields)
