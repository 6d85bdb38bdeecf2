"""A policy file as typed data: nothing in it is an expression, so that rules can be walked and compared."""

from datetime import time, timedelta
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from appliance.accounts.domain import Role
from appliance.lib.located.fields import Duration, Model, Zone, refuse
from appliance.lib.located.patterns import LISTED, Patterns
from appliance.safety.budgets.model import BudgetRule
from appliance.safety.commands.domain import CommandClass
from appliance.safety.plant_state.model import PlantRule
from appliance.safety.policy.case_model import Case
from appliance.safety.policy.fields import RULE_ID, Filters, RuleId
from appliance.safety.policy.vocabulary import Answer, Day, Layer, Origin, OwnAgent

MOST_RULES = 2000
MOST_CASES = 1000
CLOCK = r"^(?:[01][0-9]|2[0-4]):[0-5][0-9]$"
PATH = r"^[^.\s]+(?:\.[^.\s]+)*$"

WORDS = {
    RULE_ID: "letters, digits and _ . - without blanks",
    CLOCK: "a time of day, as 07:30",
    PATH: "names with dots between them, as in headers.Host",
}
"""What each pattern asks for, in words."""


Clock = Annotated[str, StringConstraints(pattern=CLOCK)]


class CommandIs(Model):
    """What a command does (``shell``, ``container``), as the box reads it."""

    class_: Annotated[tuple[CommandClass, ...], *LISTED] | None = Field(default=None, alias="class")
    """One or several of read, change, destroy, unknown."""
    program: Patterns | None = None
    """Names of programs, with * and ?."""

    @model_validator(mode="after")
    def _says_something(self) -> "CommandIs":
        if self.class_ is None and self.program is None:
            raise ValueError("name a class, a program, or both")
        return self


class TimeIs(Model):
    """Hours of the week. Where ``from`` is later than ``to``, the hours end on the next day."""

    days: Annotated[tuple[Day, ...], *LISTED] = tuple(Day)
    """The days on which the hours begin."""
    from_: Clock = Field(default="00:00", alias="from")
    """The first minute."""
    to: Clock = "24:00"
    """The minute after the last."""
    zone: Zone = "UTC"
    """A zone of the time zone database, as Europe/Paris."""

    @field_validator("to")
    @classmethod
    def _some_hours(cls, value: str, info: ValidationInfo) -> str:
        if value > "24:00" or info.data.get("from_") == value:
            raise refuse("no time at all", "from 00:00 to 24:00 is a whole day")
        return value

    @field_validator("from_")
    @classmethod
    def _in_a_day(cls, value: str) -> str:
        if value >= "24:00":
            raise refuse("a day ends at 24:00", "begin at 00:00 of the next day")
        return value

    @property
    def begin(self) -> time:
        return time.fromisoformat(self.from_)

    @property
    def end(self) -> time | None:
        """None: at midnight."""
        return None if self.to == "24:00" else time.fromisoformat(self.to)


ArgumentPath = Annotated[str, StringConstraints(pattern=PATH, max_length=200)]


class Rule(Model):
    """One rule: it decides where all of its conditions hold. Without conditions it takes everything."""

    id: RuleId
    """Its name, which every decision by it carries."""
    kinds: Patterns | None = None
    """Kinds of action, with * and ?."""
    command: CommandIs | None = None
    arguments: Annotated[dict[ArgumentPath, Patterns], Field(min_length=1)] | None = None
    """Patterns for the values of arguments, by their path."""
    topic: Filters | None = None
    """MQTT topic filters; only publishing (``mqtt``) has a topic."""
    device: Patterns | None = None
    """Names of devices."""
    secret: Patterns | None = None
    """Names of stored secrets that the step uses."""
    task: Patterns | None = None
    """Names of tasks."""
    principal: Patterns | None = None
    """On whose authority, as user:ana, token:*, trigger:overheat/*, chat:telegram/*."""
    role: Role | None = None
    """At most this role."""
    origin: Annotated[tuple[Origin, ...], *LISTED] | None = None
    """What started the run."""
    time: TimeIs | None = None
    decide: Answer
    """allow, ask or deny."""
    approvers: Role | None = None
    """Of ``ask``: the lowest role that may decide."""
    expires: Duration | None = None
    """Of ``ask``: how long the question stands."""
    reason: Annotated[str, StringConstraints(max_length=300)] = ""
    """The sentence that people read when this rule decides."""

    @field_validator("approvers", "expires")
    @classmethod
    def _of_ask(cls, value: Role | timedelta | None, info: ValidationInfo) -> Role | timedelta | None:
        if value is not None and info.data.get("decide") not in (None, Answer.ASK):
            raise refuse(f"only a rule that asks has {info.field_name}", "write decide: ask, or leave it out")
        return value


class ByOrigin(Model):
    """The answer where no rule matches, for runs of some origins and for all others."""

    cron: Answer | None = None
    every: Answer | None = None
    at: Answer | None = None
    mqtt: Answer | None = None
    webhook: Answer | None = None
    event: Answer | None = None
    task: Answer | None = None
    chat: Answer | None = None
    manual: Answer | None = None
    api: Answer | None = None
    mcp: Answer | None = None
    agent: Answer | None = None
    hub: Answer | None = None
    otherwise: Answer = Answer.ALLOW
    """For every origin that is not named."""

    def answer(self, origin: str) -> Answer:
        named: Answer | None = getattr(self, origin, None) if origin in _ORIGINS else None
        return named or self.otherwise


_ORIGINS = frozenset(Origin)


def _by_origin(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if value not in set(Answer):
        raise refuse(f"`{value}` is not known here", f"one of {', '.join(Answer)}, or such a word by origin")
    return {"otherwise": value}


class PolicyFile(Model):
    """A whole file."""

    policy: Literal[1]
    """The version of this format: 1."""
    name: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    """What people call it."""
    layer: Layer
    """box or site."""
    default: Annotated[ByOrigin, BeforeValidator(_by_origin)] = ByOrigin(agent=Answer.ASK)
    """Where no rule matches."""
    rules: Annotated[tuple[Rule, ...], Field(max_length=MOST_RULES)] = ()
    """From the top: the first one that matches decides."""
    plant: Annotated[tuple[PlantRule, ...], Field(max_length=MOST_RULES)] = ()
    """What the plant must be like at the moment of an effect."""
    budgets: Annotated[tuple[BudgetRule, ...], Field(max_length=MOST_RULES)] = ()
    """How much may be done in a stretch of time."""
    own_agent: OwnAgent = OwnAgent.CHANGE
    """Whether who asked an agent may decide on what it proposes, where the policy would let them do it themselves:
    never, on changes, or also on what destroys."""
    cases: Annotated[tuple[Case, ...], Field(max_length=MOST_CASES)] = ()
    """Tries of this file."""
