"""The contract of an action kind: a file in this folder (or in ``<area>/actions/``), found by being there."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar, Generic, Protocol, TypeVar
from uuid import UUID

from psycopg import AsyncConnection
from pydantic import BaseModel, ConfigDict

from appliance.accounts.domain import Role
from appliance.actions.secret_places import Places, beside, places_in
from appliance.escalations.domain import NewEscalation
from appliance.expressions import Template, Tree
from appliance.expressions.shell import ShellTemplate
from appliance.inference.asking import Question, Reply
from appliance.inference.leases import Wish
from appliance.lib.errors import MillwrightError
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.lib.leaving import Leaving
from appliance.outbox.ports import OutboxItem
from appliance.safety.policy.vocabulary import OwnAgent
from appliance.safety.understood import Understood
from appliance.sandbox.docker.client import Where
from appliance.sandbox.ports import Job, Outcome

P = TypeVar("P", bound="Params")
Connect = Callable[[], AbstractAsyncContextManager[AsyncConnection]]
Written = tuple[str, Callable[[], object]]
"""A field whose value stands in the file, and what raises MillwrightError where that can never be meant."""
StateReader = Callable[[str, timedelta | None], JsonValue]


class EffectClass(StrEnum):
    """What a second execution of the same step would mean (DESIGN section 6, P3)."""

    PURE = "pure"
    IDEMPOTENT = "idempotent"
    KEYED = "keyed"
    UNSAFE = "unsafe"


class Status(StrEnum):
    """How a step ended, as its action saw it."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    HANDED_OVER = "handed_over"
    WAITING = "waiting"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class StepResult:
    """What an action reports. ``output`` is what ``{{ output }}`` yields; ``detail`` is for the run page.

    ``status`` UNKNOWN means that the effect may or may not have happened: a time-out of something unsafe.
    ``wake_at``, ``waiting_for`` and ``checkpoint`` belong to WAITING: the step is performed again when the
    run wakes, with ``checkpoint`` as ``context.resumed_from``. ``outbox`` is stored in the same transaction
    as the result, so that an effect handed over has exactly one row (P7).
    """

    status: Status
    output: JsonValue = None
    detail: JsonObject = field(default_factory=dict)
    stderr: str = ""
    error: str = ""
    wake_at: datetime | None = None
    waiting_for: str = ""
    checkpoint: JsonObject | None = None
    outbox: tuple[OutboxItem, ...] = ()
    escalations: tuple[NewEscalation, ...] = ()
    """What of it somebody has to acknowledge: opened in the same transaction as ``outbox``."""
    retryable: bool = True
    undeclared: tuple[str, ...] = ()
    """What the step did beside what its author declared, in sentences."""
    interrupted: bool = False
    """It was asked to end because its worker stops: it goes on elsewhere, where it may be done again."""
    tokens: int = 0
    """Tokens of models that it has spent, read and written: what the budgets of the policy count."""

    @classmethod
    def ok(cls, output: JsonValue = None, **detail: JsonValue) -> "StepResult":
        return cls(Status.SUCCEEDED, output, dict(detail))

    @classmethod
    def failed(cls, error: str, *, retryable: bool = True, **detail: JsonValue) -> "StepResult":
        return cls(Status.FAILED, None, dict(detail), error=error, retryable=retryable)


class ActionRefused(MillwrightError):
    """The arguments of an action cannot be what its author meant."""

    code = "action.refused"


class TargetAway(MillwrightError):
    """What the action needs (broker, sandbox, database) is not there now; the same step may work later."""

    code = "action.target_away"
    permanent = False

    def __init__(self, message: str, *, hint: str | None = None, maybe_done: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.maybe_done = maybe_done
        """Whether the effect may have happened all the same: an unsafe one is ambiguous then."""


class Form(StrEnum):
    """What a kept checkpoint is: the JSON of an action, or the file of a command."""

    JSON = "json"
    FILE = "file"


class Checkpoints(Protocol):
    """What a step saves of itself while it runs. The last one survives a crash, a retry and a resume.

    ``limit``: bytes of one. ``last_file``: what an earlier life of a command left, None on the first.
    """

    limit: int
    last_file: bytes | None

    async def save(self, state: JsonObject) -> None:
        """Keep this; ``context.resumed_from`` gives it back. Raises ActionRefused where it is too large."""
        ...

    async def save_file(self, content: bytes) -> None:
        """Keep the content of a command's checkpoint file; ``last_file`` gives it back."""
        ...


class Fence(Protocol):
    """The run's claim, for what a step writes itself before its result: nothing of it is a stale worker's (P4)."""

    async def hold(self, connection: AsyncConnection) -> None:
        """In the transaction of these writes, before them. Raises what ends the work where the claim is lost."""
        ...

    def hold_here(self) -> None:
        """As ``hold``, in the current transaction of Django's connection."""
        ...


class Unfenced:
    """Of steps that write nothing themselves: their results have the fence of whoever writes those."""

    async def hold(self, connection: AsyncConnection) -> None:
        pass

    def hold_here(self) -> None:
        pass


UNFENCED = Unfenced()


class Services(Protocol):
    """What actions need of the process they run in; wired by the composition root."""

    async def publish(
        self, topic: str, payload: bytes, *, qos: int, retain: bool, timeout: float, broker: str = ""
    ) -> None:
        """Publish over the box's own broker, or over the one connected beside it under that name."""
        ...

    async def reach(self, broker: str, patience: float) -> bool:
        """Whether that broker had to be waited for. Raises BusAway where it is not there after so many seconds, and
        what ``publish`` raises."""
        ...

    async def run_confined(self, job: Job, on_output: Callable[[str, bytes], None] | None) -> Outcome: ...

    async def run_contained(
        self, job: Job, where: Where, on_output: Callable[[str, bytes], None] | None
    ) -> Outcome:
        """As ``run_confined``, in a container."""
        ...

    async def ask(self, question: Question, wish: Wish, on_text: Callable[[str], None] | None) -> Reply:
        """Ask a model of this box. Raises what ``Asker.ask`` raises."""
        ...


@dataclass(frozen=True, slots=True)
class StepContext:
    """Everything an action may know about the step that it performs.

    ``key`` names this step for ever (``run/step``): receivers that take a key use it to drop a repeat.
    ``resumed_from`` is the last checkpoint of an earlier life, None on the first. ``checkpoints`` is where the
    action saves more of them while it runs.
    """

    run_id: UUID
    step_id: str
    task_id: int
    task_name: str
    attempt: int
    key: str
    principal: str
    priority: int
    now: datetime
    timeout: float
    ok_exit: tuple[int, ...]
    services: Services
    connect: Connect
    on_output: Callable[[str, bytes], None] | None = None
    resumed_from: JsonObject | None = None
    checkpoints: Checkpoints | None = None
    confirm: str | None = None
    run_started_at: datetime = datetime.min
    depth: int = 0
    chain: int = 0
    command: Understood | None = None
    """What the gate made of the step's command, with the programs that it has looked at."""
    ceiling: str = Role.VIEWER.value
    """The most that this run may do; what it starts may do no more."""
    origins: tuple[str, ...] = ()
    """The origins of this run and of what led to it; what it starts is judged by them too."""
    above: tuple[str, ...] = ()
    """The runs of growing steps that led to this one, the outermost first; itself last, where its own steps grow."""
    unattended: bool = False
    """Nobody is to be asked in this run."""
    own_agent: OwnAgent = OwnAgent.NEVER
    """Whether who asked an agent may decide on what it proposes."""
    leaving: Leaving | None = None
    """Said when the worker is about to stop: what can be gone on from elsewhere may end with its state kept."""
    act_within: float | None = None
    """Seconds after which it must not begin to act any more, though it may end later; None without a limit."""
    chosen: frozenset[str] = frozenset()
    """The arguments that an agent's model gave, which no author has looked at."""
    kept: dict[str, Any] = field(default_factory=dict)
    """What the steps of one life of a run keep for each other: gone with the worker's claim, so only time hangs on
    it."""
    fence: Fence = UNFENCED
    """Held by what writes into tables of its own."""


class Params(BaseModel):
    """Base of a kind's own fields in YAML; unknown keys are refused."""

    model_config = ConfigDict(
        extra="forbid", arbitrary_types_allowed=True, frozen=True, use_attribute_docstrings=True
    )


def render_fields(params: BaseModel, scope: Mapping[str, JsonValue], state: StateReader | None) -> JsonObject:
    """Every template of ``params`` rendered once; everything else as JSON."""
    rendered: JsonObject = {}
    # Not ``model_fields``: that goes by way of a property which warns of its use on an instance.
    for name in type(params).__pydantic_fields__:
        value = getattr(params, name)
        rendered[name] = _render(value, scope, state)
    return rendered


def _render(value: Any, scope: Mapping[str, JsonValue], state: StateReader | None) -> JsonValue:
    if isinstance(value, Template | Tree):
        return value.render(scope, state=state)
    if isinstance(value, ShellTemplate):
        script, arguments = value.render(scope, state=state)
        return {"script": script, "arguments": list(arguments)}
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, dict):
        return {str(k): _render(v, scope, state) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_render(v, scope, state) for v in value]
    if isinstance(value, BaseModel):
        return render_fields(value, scope, state)
    return value.value if isinstance(value, StrEnum) else value


class StepKind(ABC, Generic[P]):
    """One kind of step, of which there are two sorts: it acts itself, or it is made of steps.

    Members are stateless; one instance serves all runs.

    ``instant``: done in-process within milliseconds, so a run of only such steps can use the reflex lane.
    ``default_timeout``: seconds, when the step names none.
    ``for_authors``: whether a task file may name it; the others are made by the box itself, inside of a step.
    ``secret_fields``: the fields in which ``secret:NAME`` stands for a stored secret; ``opened`` puts it there.
    """

    name: ClassVar[str]
    params: ClassVar[type[Params]]
    instant: ClassVar[bool] = False
    for_authors: ClassVar[bool] = True
    default_timeout: ClassVar[float] = 60.0
    secret_fields: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def effect(self, params: P) -> EffectClass:
        """The effect class of this step, from its definition alone."""

    def default_ok_exit(self, params: P) -> tuple[int, ...]:
        return (0,)

    def written(self, params: P) -> Iterable[Written]:
        """What can be said of the values that the file writes out, without ``{{ }}``, before anything runs."""
        return ()

    def secrets(self, params: P) -> Places:
        """The stored secrets that this step uses, by name, each with the places of its value."""
        return places_in(params, self.secret_fields)

    def arguments(
        self, params: P, scope: Mapping[str, JsonValue], state: StateReader | None = None
    ) -> JsonObject:
        """The typed action as it will be decided on, shown and performed."""
        return beside(render_fields(params, scope, state), self.secrets(params))

    def target(self, arguments: JsonObject) -> str:
        """What is acted on, as ``mqtt:valves/1``: where runs wait for it, the oldest acts first. Empty: in no order."""
        return ""

    async def reach(self, arguments: JsonObject, services: Services, patience: float) -> bool:
        """Whether the target had to be waited for, before anything is done. A kind that cannot tell lets it be tried.

        Raise :class:`TargetAway` where it is not there after ``patience`` seconds.
        """
        return False

    async def pinned(self, arguments: JsonObject, connect: Connect) -> JsonObject:
        """The rendered arguments, with each name that may come to mean something else beside what it means now.

        What is decided on, approved, recorded and performed is this. Raises MillwrightError.
        """
        return arguments


class ActionKind(StepKind[P]):
    """A kind that acts itself."""

    @abstractmethod
    async def perform(self, arguments: JsonObject, context: StepContext) -> StepResult:
        """Do it. Raise :class:`TargetAway` when nothing was done because the target is away."""


class SplitKind(StepKind[P]):
    """A kind that is made of steps: the engine performs it as shards, and no worker is held meanwhile."""

    default_timeout = timedelta(days=7).total_seconds()

    def effect(self, params: P) -> EffectClass:
        return EffectClass.PURE

    def may_act(self, params: P) -> bool:
        """Whether it may come to steps that act and that do not stand in its definition."""
        return False


Kind = ActionKind[Any] | SplitKind[Any]
