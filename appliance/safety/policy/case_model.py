"""The cases of a policy file: actions that it is tried with."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, StringConstraints

from appliance.accounts.domain import Role
from appliance.lib.located.fields import Model, refuse
from appliance.lib.located.patterns import LISTED
from appliance.safety.commands.domain import CommandClass
from appliance.safety.policy.vocabulary import Answer, Origin


class CommandSaid(Model):
    """Of a case: how the command is to be read, instead of reading it."""

    class_: CommandClass = Field(default=CommandClass.UNKNOWN, alias="class")
    programs: tuple[str, ...] = ()


class CaseAction(Model):
    """An action that a case tries."""

    kind: str
    """The kind of action."""
    arguments: dict[str, Any] = {}
    command: CommandSaid | None = None
    principal: str = "user:somebody"
    role: Role = Role.ENGINEER
    origin: Annotated[tuple[Origin, ...], *LISTED] = (Origin.MANUAL,)
    """What started the run; several of a run that others led to, its own first."""
    task: str = ""


def _moment(value: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise refuse(f"{value!r} is not a moment", "as in 2026-03-02T07:30+01:00") from error
    if moment.tzinfo is None:
        raise refuse("a moment needs its distance from UTC", f"as in {value}+00:00, or {value}Z")
    return moment


Moment = Annotated[datetime, BeforeValidator(_moment), PlainSerializer(datetime.isoformat)]


class Case(Model):
    """An action with the answer that this file must give; a file whose cases fail is refused."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    """What the case shows."""
    action: CaseAction
    at: Moment | None = None
    """When; needed where a rule of the file looks at the time."""
    expect: Answer
    """allow, ask or deny."""
    rule: str | None = None
    """The rule that must decide; ``default`` for none."""
