"""What a problem of the suite is: a situation, a goal, a check of the world, and how a good model goes about it."""

from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from appliance.agent.domain import Mode
from appliance.agent.suite.errors import ProblemInvalid
from appliance.lib.located.fields import Duration, Model
from appliance.lib.located.yaml_reader import read_yaml

FOLDER = Path(__file__).with_name("problems")
WEB = "$WEB"
"""Stands for the address of the stand's own web server, in tools and scripts."""
RUN = "$RUN:"
"""In a script ``$RUN:backup`` stands for the number of the last run of that task."""
SHOP = "shop"
"""The stored secret with the address of the stand's own database."""


class Reaction(Model):
    """What a message on a topic does to the plant. Without one it does nothing, as where a cable is off."""

    topic: str
    payload: str | None = None
    """Only with this payload."""
    then: dict[str, Any]
    """Topics with what they say from then on."""
    from_the: int = Field(default=1, ge=1)
    """Only from so many such messages on."""


class Page(Model):
    """What the stand's web server answers."""

    status: int = 200
    body: str = ""
    type: str = "text/plain; charset=utf-8"


class Command(Model):
    """What a command of the stand's machine gives. Files are read by themselves (``files``)."""

    match: str
    """A regular expression for the whole of it."""
    out: str = ""
    err: str = ""
    exit: int = 0
    then: dict[str, Any] = {}
    once: bool = False
    """Only the first time; after that the next one that fits counts."""


class History(Model):
    """How a value went: equally far apart over the time up to now."""

    last: Duration = timedelta(hours=1)
    values: tuple[float, ...]


class Situation(Model):
    topics: dict[str, Any] = {}
    """What came last on topics, just now."""
    history: dict[str, History] = {}
    reactions: tuple[Reaction, ...] = ()
    devices: dict[str, Literal["online", "offline"]] = {}
    tasks: str = ""
    """A file of tasks, as people write it."""
    ran: tuple[str, ...] = ()
    """Tasks of it that have run before the goal is given, one after another."""
    files: dict[str, str] = {}
    """Files of the machine, as logs and runbooks."""
    commands: tuple[Command, ...] = ()
    pages: dict[str, Page] = {}
    tables: str = ""
    """SQL that furnishes the stand's database."""
    policy: str = ""
    """The box's policy; without it everything is allowed, and only the agent's own mode asks."""


class Person(Model):
    """Who is asked. ``but``: a word in what is asked about, to which they say the opposite."""

    says: Literal["approve", "deny", "nothing"] = "approve"
    reason: str = ""
    but: str = ""


class Published(Model):
    topic: str
    payload: Any = None
    """Compared as JSON where it is some."""


class Started(Model):
    task: str
    vars: dict[str, Any] = {}


class Sent(Model):
    method: str
    path: str
    has: tuple[str, ...] = ()


class Check(Model):
    """What has to be true afterwards. A message, run, command or request that is not named must not be."""

    published: tuple[Published, ...] = ()
    tasks: tuple[Started, ...] = ()
    commands: tuple[str, ...] = ()
    """Commands that were run and do more than read."""
    told: tuple[tuple[str, ...], ...] = ()
    """Messages to people: of each the texts that stand in it, as regular expressions."""
    sent: tuple[Sent, ...] = ()
    values: dict[str, Any] = {}
    """What topics say in the end."""
    read: tuple[str, ...] = ()
    """Tools that have to have given something."""
    read_first: bool = True
    """Whether something is to have been read before anything is changed."""
    looked_after: bool = False
    """Whether something is to have been read after the last change."""
    answer: tuple[str, ...] = ()
    """Regular expressions of what stands in the answer."""
    answer_not: tuple[str, ...] = ()
    asked: int | None = None
    """How often a person was asked."""
    confirmed: bool | None = True
    """Whether the rows confirm the answer; None where that is the same."""
    state: str = "succeeded"


class Turn(Model):
    """What a model says in one turn: calls, or its answer."""

    calls: tuple[dict[str, dict[str, Any]], ...] = ()
    answer: str = ""
    changed: bool = False


class Problem(Model):
    id: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{2,60}$")
    language: Literal["en", "zh"]
    about: str
    """What it takes to solve it, in one sentence."""
    goal: str
    tools: tuple[str | dict[str, dict[str, Any]], ...]
    mode: Mode = Mode.PROPOSE
    trust: tuple[str, ...] = ()
    situation: Situation = Situation()
    person: Person = Person()
    check: Check
    script: tuple[Turn, ...] = Field(min_length=1)
    """How a competent model goes about it."""
    wrong: tuple[tuple[Turn, ...], ...] = Field(min_length=1)
    """How a model goes about it that does not understand: its check has to see each of them."""

    @field_validator("tools")
    @classmethod
    def _stays_here(cls, tools: tuple[Any, ...]) -> tuple[Any, ...]:
        """Whatever a model does, it leads to nobody but the stand itself."""
        for one in tools:
            for name, fixed in ({one: {}} if isinstance(one, str) else one).items():
                if name in ("http", "http_get") and not str(fixed.get("url", "")).startswith(WEB):
                    raise ValueError(f"{name} needs an address of the stand: {{url: {WEB}/…}}")
                if name == "sql_query" and fixed != {"database": SHOP}:
                    raise ValueError(f"sql_query asks the stand's own database: {{database: {SHOP}}}")
                if name.startswith("*"):
                    raise ValueError("tools are named one by one")
        return tools

    @model_validator(mode="after")
    def _can_fail(self) -> "Problem":
        if self.script in self.wrong:
            raise ValueError("a wrong way is the right one")
        return self


@cache
def shipped() -> tuple[Problem, ...]:
    """All problems, in the order of their files. Raises ProblemInvalid."""
    found = [one for file in sorted(FOLDER.glob("*.yaml")) for one in _of_file(file)]
    ids = [one.id for one in found]
    if twice := {one for one in ids if ids.count(one) > 1}:
        raise ProblemInvalid(f"two problems are called {min(twice)}")
    return tuple(found)


def problem_named(wanted: str) -> Problem:
    """Raises ProblemInvalid."""
    for one in shipped():
        if one.id == wanted:
            return one
    raise ProblemInvalid(
        f"there is no problem {wanted!r}", hint=f"there are {', '.join(p.id for p in shipped())}"
    )


def _of_file(file: Path) -> list[Problem]:
    document = read_yaml(file.read_text("utf-8"))
    if document.faults or not isinstance(document.value, list):
        raise ProblemInvalid(f"{file.name} is no list of problems: {document.faults[:1]}")
    try:
        return [Problem.model_validate(one) for one in document.value]
    except ValueError as error:
        raise ProblemInvalid(f"{file.name}: {error}") from error
