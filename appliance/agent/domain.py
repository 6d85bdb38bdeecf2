"""The vocabulary of the agent: modes, risks, what was asked of it, and what one turn gave. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from appliance.lib.jsontypes import JsonMapping, JsonObject, JsonValue


class Mode(StrEnum):
    """What an agent may do by itself."""

    WATCH = "watch"
    """It explains: it has tools that only read."""
    PROPOSE = "propose"
    """A person is asked before whatever may change something."""
    ACT = "act"
    """As the policy says."""
    SHADOW = "shadow"
    """What may change something is not done, and kept as what it would have done."""


class Approvals(StrEnum):
    """How a person is asked about the calls of one turn."""

    PLAN = "plan"
    """About all of them at once."""
    EACH = "each"


class Risk(StrEnum):
    """What a call does to the world; ``unknown`` commands count as ``change``."""

    READ = "read"
    CHANGE = "change"
    DESTROY = "destroy"


@dataclass(frozen=True, slots=True)
class Budget:
    """``steps`` are turns and calls together, ``seconds`` those of work."""

    steps: int
    tokens: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Asked:
    """The arguments of a step ``agent``. ``tools``: each name with the arguments that its author has fixed."""

    goal: str
    system: str
    tools: Mapping[str, JsonObject]
    mode: Mode
    approvals: Approvals
    trust: frozenset[str]
    budget: Budget
    model: str
    work: str
    max_tokens: int
    temperature: float
    outside: bool
    """Whether the goal holds what comes from outside of the task's text."""
    system_outside: bool = False
    """Whether what the model is to keep to does."""
    conversation: bool = False
    """Whether it is told what was said before, and its answer is kept there."""
    undo: Mapping[str, JsonObject] = field(default_factory=dict)
    """Each tool that can be taken back, with the arguments that do so in the place of a call's own."""
    remote: Mapping[str, JsonObject] = field(default_factory=dict)
    """Tools of other servers, by name, as they were when the step began."""
    closed: Mapping[str, str] = field(default_factory=dict)
    """Such tools that its author meant and that it cannot have, each with why."""

    @classmethod
    def of(cls, given: JsonMapping) -> "Asked":
        """Of the arguments as the row keeps them, which ``AgentAction.arguments`` made."""
        budget, tools = _object(given.get("budget")), _object(given.get("tools"))
        undo = _object(given.get("undo"))
        trust = given.get("trust")
        return cls(
            goal=str(given.get("goal", "")),
            system=str(given.get("system") or ""),
            tools={name: _object(fixed) for name, fixed in tools.items()},
            mode=Mode(str(given.get("mode", Mode.PROPOSE))),
            approvals=Approvals(str(given.get("approvals", Approvals.PLAN))),
            trust=frozenset(map(str, trust)) if isinstance(trust, list) else frozenset(),
            budget=Budget(int(str(budget["steps"])), int(str(budget["tokens"])), float(str(budget["time"]))),
            model=str(given.get("model") or ""),
            work=str(given.get("work", "chat")),
            max_tokens=int(str(given.get("max_tokens", 1024))),
            temperature=float(str(given.get("temperature", 0.2))),
            outside=given.get("outside") is not False,
            system_outside=given.get("system_outside") is not False,
            conversation=given.get("conversation") is True,
            undo={name: _object(back) for name, back in undo.items()},
            remote={name: _object(one) for name, one in _object(given.get("remote")).items()},
            closed={name: str(why) for name, why in _object(given.get("closed")).items()},
        )


@dataclass(frozen=True, slots=True)
class Call:
    """What a turn wants done. ``refused``: the sentence why it is not; such a call becomes no step."""

    tool: str
    arguments: JsonObject
    why: str = ""
    refused: str = ""
    noted: bool = False
    """It was answered by the turn itself and counts neither as done nor as refused."""

    @property
    def is_made(self) -> bool:
        return not (self.refused or self.noted)

    def to_json(self) -> JsonObject:
        return {
            "tool": self.tool,
            "arguments": self.arguments,
            "why": self.why,
            "refused": self.refused,
            "noted": self.noted,
        }


@dataclass(frozen=True, slots=True)
class TurnOutput:
    """What a turn gave: the output of its step. ``ended``: why nothing comes after it, though it did not finish."""

    say: str = ""
    calls: tuple[Call, ...] = ()
    done: bool = False
    answer: str = ""
    changed: bool = False
    """Whether the answer claims that something was changed."""
    outside: bool = True
    """Whether what the model was told held anything from outside."""
    tokens: int = 0
    malformed: str = ""
    ended: str = ""

    def to_json(self) -> JsonObject:
        calls: list[JsonValue] = [call.to_json() for call in self.calls]
        return {
            "say": self.say,
            "calls": calls,
            "done": self.done,
            "answer": self.answer,
            "changed": self.changed,
            "outside": self.outside,
            "tokens": self.tokens,
            "malformed": self.malformed,
            "ended": self.ended,
        }

    @classmethod
    def of(cls, output: JsonValue) -> "TurnOutput":
        """Of a row; something that no turn wrote is taken for an end."""
        if not isinstance(output, dict):
            return cls(ended="its row cannot be read")
        calls = output.get("calls")
        tokens = output.get("tokens")
        return cls(
            say=str(output.get("say", "")),
            calls=tuple(map(_call, calls if isinstance(calls, list) else ())),
            done=output.get("done") is True,
            answer=str(output.get("answer", "")),
            changed=output.get("changed") is True,
            outside=output.get("outside") is not False,
            tokens=tokens if isinstance(tokens, int) else 0,
            malformed=str(output.get("malformed", "")),
            ended=str(output.get("ended", "")),
        )


def _call(value: JsonValue) -> Call:
    given = _object(value)
    return Call(
        str(given.get("tool", "")),
        _object(given.get("arguments")),
        str(given.get("why", "")),
        str(given.get("refused", "")),
        given.get("noted") is True,
    )


def _object(value: JsonValue) -> JsonObject:
    return value if isinstance(value, dict) else {}


@dataclass(frozen=True, slots=True)
class StepSeen:
    """A finished or waiting step of the agent's own run, as its turns and its answer read it."""

    step: str
    state: str
    output: JsonValue
    detail: JsonObject = field(default_factory=dict)
    """Of one that failed or was skipped."""
    error: str = ""
    stderr: str = ""
    seconds: float = 0.0
    """Of work; none of one that has not ended."""
    kind: str = ""


def seconds_between(began: datetime, ended: datetime | None) -> float:
    return (ended - began).total_seconds() if ended is not None else 0.0


def turn_id(number: int) -> str:
    return f"turn-{number}"


def plan_id(number: int) -> str:
    return f"plan-{number}"


def is_plan(step: str) -> bool:
    """Whether a step may be the question about a turn's calls, by its name: an author may have given one like it."""
    return step.startswith("plan-")


def call_id(turn: int, number: int) -> str:
    return f"call-{turn}-{number}"


def undo_id(call: str) -> str:
    """The step that takes a call back."""
    return f"{call}.undo"


ANSWER = "answer"
