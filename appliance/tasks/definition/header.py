"""The rules a task runs by: everything but its triggers and actions."""

from datetime import timedelta
from typing import Annotated, Any

from pydantic import Field, model_validator

from appliance.accounts.domain import Role
from appliance.expressions.fields import ConditionField, TemplateField
from appliance.lib.duration import format_duration
from appliance.lib.priority import Priority
from appliance.lib.said import say
from appliance.safety.budgets.model import Amounts, Then
from appliance.tasks.definition.base import Duration, Model, Name, VariableName, refuse
from appliance.tasks.definition.vocabulary import Misfire, OverlapPolicy

MOST_VARIABLES = 200
LONGEST_LIMIT = timedelta(days=1)


class Overlap(Model):
    """What happens when a task is triggered again before it is done."""

    key: TemplateField | None = None
    """Runs with the same key count as the same; without one, all runs of the task do."""
    policy: OverlapPolicy = OverlapPolicy.SKIP
    """`skip`, `queue`, `cancel_previous` or `allow`."""
    most: Annotated[int, Field(ge=1, le=10_000)] = 100
    """How many runs may wait for their turn under one key with `queue`; what comes beyond them is suppressed."""


class Limit(Model):
    """How often a task may run; what comes beyond it is counted and left alone."""

    runs: Annotated[int, Field(ge=1, le=1000)]
    """At most so many …"""
    per: Duration
    """… in any stretch of this length."""

    @model_validator(mode="after")
    def _bounded(self) -> "Limit":
        if self.per > LONGEST_LIMIT:
            raise refuse(say("a limit counts over one day at most"))
        return self

    def __str__(self) -> str:
        return f"{self.runs} per {format_duration(self.per)}"


class Checkpoints(Model):
    """What is kept of the states that its steps save while they run."""

    keep: Annotated[int, Field(ge=1, le=50)] = 3
    """How many of each step, the newest."""
    limit: Annotated[int, Field(ge=1, le=48)] = 16
    """MiB that one of them may have; a larger one is not kept, and the one before stays."""


class Gate(Model):
    """What must be true before an effect: of the whole task, or of one step."""

    plant_state: ConditionField
    """As `{{ state('plant/mode', max_age='10s') != 'maintenance' }}`.

    A stale or absent value closes the gate."""
    then: Then = Then.HOLD
    """`hold`: the run waits until the plant is so. `deny`: the step is refused."""


class Budget(Amounts):
    """At most so much in any stretch of time, over all runs of the task."""


class TaskHeader(Model):
    """A task without its triggers and actions."""

    name: Name
    """Unique on the box."""
    description: Annotated[str, Field(max_length=2000)] = ""
    """For people."""
    enabled: bool = True
    """Whether a new task is switched on at once; later the switch in the web admin decides."""
    vars: Annotated[dict[VariableName, Any], Field(max_length=MOST_VARIABLES)] = {}
    """Plain values that expressions see as `vars.<name>`, and that whoever starts the task may set."""
    misfire: Misfire = Misfire.SKIP
    """Due times that passed while the box was off: `skip` them, `run_once` for the newest, `run_all` in order,
    or `ask` people."""
    valid_for: Duration | None = None
    """How late a missed time may still run; with `ask` also how long the question stays open (1 day without it)."""
    overlap: Overlap | None = None
    """Without it, runs of the task may overlap."""
    limit: Limit | None = None
    """As `{runs: 10, per: 1m}`. A flooding device or task then holds up nobody else."""
    priority: Priority = Priority.NORMAL
    """`low`, `normal`, `high` or `critical`."""
    timeout: Duration | None = None
    """The longest a run may take, waiting included."""
    principal: Role | None = None
    """The most this task may ever do, whoever starts it."""
    gate: Gate | None = None
    """Conditions of the plant."""
    budget: Budget | None = None
    """As `{effects: 60, per: 1h}`. What comes beyond it waits, or is refused."""
    checkpoints: Checkpoints = Checkpoints()
    """What is kept of the states that its steps save."""
    unattended: bool = False
    """Nobody is asked: where a step would need a person's approval, it fails at once. Triggers can say it too."""

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("overlap"), str):
            return {**value, "overlap": {"policy": value["overlap"]}}
        return value

    @model_validator(mode="after")
    def _valid_for_needs_misfire(self) -> "TaskHeader":
        if self.valid_for is not None and self.misfire is Misfire.SKIP:
            raise refuse(
                say("valid_for says how late a missed time may run, but misfire: skip never runs it")
            )
        return self
