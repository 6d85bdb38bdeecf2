"""An agent as people read it: what it was asked, turn after turn what it said, called, and what came of it. Pure."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from appliance.agent.domain import Asked, plan_id
from appliance.agent.loop.story import Fate
from appliance.lib.jsontypes import JsonObject


class Undo(StrEnum):
    """Whether what a call did can be taken back, and whether it has been."""

    NOTHING = "nothing"
    """It changed nothing, or was not done."""
    NONE = "none"
    """Its tool says of no way back."""
    POSSIBLE = "possible"
    UNDER_WAY = "under_way"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Word:
    """What people were asked about a step, and what they said. ``rule`` asked for it, with ``why``."""

    id: UUID
    state: str
    rule: str
    why: str
    needed: int
    by: tuple[str, ...]
    way: str
    reason: str
    asked_at: datetime
    decided_at: datetime | None


@dataclass(frozen=True, slots=True)
class CallView:
    """A call. ``said`` is short, and from outside where ``from_outside``; ``gate`` is the rule that let its step pass,
    ``verdict`` what the gate said of one that was only looked at. ``state`` is empty where it became no step."""

    step: str
    tool: str
    arguments: JsonObject
    why: str
    fate: Fate
    said: str
    from_outside: bool
    state: str = ""
    kind: str = ""
    effect: str = ""
    gate: str = ""
    verdict: str = ""
    because: str = ""
    attempts: int = 0
    seconds: float = 0.0
    words: tuple[Word, ...] = ()
    undo: Undo = Undo.NOTHING
    undo_said: str = ""

    @property
    def waits(self) -> bool:
        """Whether a person is asked about it now."""
        return any(word.state == "open" for word in self.words)


@dataclass(frozen=True, slots=True)
class TurnView:
    """One turn. ``tokens``, ``seconds`` and ``asked`` (questions to the model) are what it cost; ``failures`` are
    attempts that gave nothing. ``state`` is `running` while the model thinks."""

    number: int
    state: str
    say: str = ""
    calls: tuple[CallView, ...] = ()
    done: bool = False
    malformed: str = ""
    ended: str = ""
    outside: bool = False
    plan: tuple[Word, ...] = ()
    failures: tuple[str, ...] = ()
    tokens: int = 0
    seconds: float = 0.0
    asked: int = 0
    model: str = ""
    digest: str = ""
    engine: str = ""
    chosen_because: str = ""
    sent_digest: str = ""
    came_digest: str = ""
    offered: tuple[str, ...] = ()
    at: datetime | None = None

    @property
    def plan_step(self) -> str:
        """The step that asks about its calls together."""
        return plan_id(self.number)

    @property
    def undoable(self) -> tuple[str, ...]:
        """The calls of it that can be taken back, newest first."""
        return tuple(one.step for one in reversed(self.calls) if one.undo in (Undo.POSSIBLE, Undo.FAILED))

    @property
    def stays(self) -> tuple[str, ...]:
        """The calls that took effect, and that nothing takes back."""
        return tuple(one.step for one in self.calls if one.undo is Undo.NONE)


@dataclass(frozen=True, slots=True)
class AnswerView:
    """What it came to, read back from the rows: each list has calls with step, tool, arguments, fate and what came."""

    state: str
    text: str
    error: str = ""
    doubts: str = ""
    did: tuple[JsonObject, ...] = ()
    handed_over: tuple[JsonObject, ...] = ()
    not_done: tuple[JsonObject, ...] = ()
    would_have_done: tuple[JsonObject, ...] = ()


@dataclass(frozen=True, slots=True)
class Cost:
    """What is spent of what may be: turns and calls, tokens, seconds of work."""

    steps: int
    tokens: int
    seconds: float
    of_steps: int
    of_tokens: int
    of_seconds: float


@dataclass(frozen=True, slots=True)
class AgentView:
    """A step ``agent`` of the run ``task_run``. ``run_id`` is its own run, which holds its turns and calls."""

    run_id: UUID
    task_run: UUID
    step: str
    attempt: int
    state: str
    waiting_for: str
    reason: str
    principal: str
    asked: Asked
    cost: Cost
    turns: tuple[TurnView, ...] = ()
    answer: AnswerView | None = None
    ended: bool = False
    may_undo: bool = False
    """Whether it is over, with the run around it, so that what it did can be taken back."""
    open_words: tuple[UUID, ...] = field(default=())

    @property
    def undoable(self) -> tuple[str, ...]:
        """All calls that can be taken back, newest first."""
        return tuple(step for turn in reversed(self.turns) for step in turn.undoable)

    @property
    def stays(self) -> tuple[str, ...]:
        return tuple(step for turn in self.turns for step in turn.stays)


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of what a model was told. ``of`` says what it is where it comes from outside."""

    text: str
    outside: bool = False
    of: str = ""


@dataclass(frozen=True, slots=True)
class Explained:
    """One turn with its transcript: all that was sent to the model and came back, as far as it is kept."""

    agent: AgentView
    turn: TurnView
    sent: tuple[Piece, ...]
    came: str
    withheld: bool = False
    """What was sent tells a conversation of somebody else: it is not shown."""
