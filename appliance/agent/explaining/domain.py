"""An agent as people read it: what it was asked, turn after turn what it said, called, and what came of it. Pure."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from appliance.agent.domain import Asked, plan_id, undo_id
from appliance.agent.loop.ending import is_lie
from appliance.agent.loop.story import LAST_WORD_AT, Fate
from appliance.agent.spelling import short
from appliance.lib.jsontypes import JsonObject


class Undo(StrEnum):
    """Whether what a call did can be taken back, and whether it has been."""

    NOTHING = "nothing"
    """It changed nothing, or was not done."""
    NONE = "none"
    """There is no way back, or not here: ``Stays`` says why."""
    POSSIBLE = "possible"
    WAITS = "waits"
    """A person has to allow that it is taken back."""
    UNDER_WAY = "under_way"
    DONE = "done"
    FAILED = "failed"


class Stays(StrEnum):
    """Why the engine would not take back what a call did."""

    NO_WAY = "no_way"
    """Its author has not said how."""
    DOES_NOT_FIT = "does_not_fit"
    """How the author has said does not fit what the model gave it."""
    SAFE_STATE = "safe_state"
    """The step around it keeps to a safe state."""
    ELSEWHERE = "elsewhere"
    """An earlier run did it, from which this one goes on: it is taken back there."""


@dataclass(frozen=True, slots=True)
class TakenBack:
    """How far the undo of a call is: ``words`` are what people were asked about it. ``stays`` says why there is none,
    ``run_id`` the run whose step it is, or where it could be."""

    undo: Undo = Undo.NOTHING
    said: str = ""
    words: tuple["Word", ...] = ()
    by: str = ""
    at: datetime | None = None
    run_id: UUID | None = None
    stays: Stays | None = None

    @property
    def denied(self) -> "Word | None":
        """The word of the person who did not want it taken back."""
        last = self.words[-1] if self.words else None
        return last if self.undo is Undo.FAILED and last is not None and last.state == "denied" else None


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
    back: TakenBack = TakenBack()
    fixed: JsonObject = field(default_factory=dict)
    """What its author has fixed that says what it does, and where."""

    @property
    def given(self) -> JsonObject:
        """All that says what it does."""
        return {**self.fixed, **self.arguments}

    @property
    def name(self) -> str:
        """What people know it by."""
        return short(self.tool, self.given, 100)

    @property
    def undo(self) -> Undo:
        return self.back.undo

    @property
    def undo_step(self) -> str:
        """The step that takes it back."""
        return undo_id(self.step)

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
    own_words: str = ""
    """The model's own, without what the box has put behind them."""
    error: str = ""
    doubts: str = ""
    did: tuple[JsonObject, ...] = ()
    handed_over: tuple[JsonObject, ...] = ()
    not_done: tuple[JsonObject, ...] = ()
    would_have_done: tuple[JsonObject, ...] = ()

    @property
    def read_back(self) -> JsonObject:
        """What was done, with what has become of it since."""
        return {"did": [*self.did], "handed_over": [*self.handed_over]}

    @property
    def lies(self) -> bool:
        """Whether it says that something was changed, and nothing was."""
        return is_lie(self.doubts)

    @property
    def did_nothing(self) -> bool:
        """Whether something was to be done, and nothing was."""
        return bool(self.not_done) and not (self.did or self.handed_over)


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
    """Whether its work is over; it may be taken back since."""
    may_undo: bool = False
    """Whether it is over, with the run around it and those that go on from that, so that what it did can be taken
    back."""
    goes_on: UUID | None = None
    """The run that goes on from it, and has to end before."""
    undo_asked: bool = False
    """Whether its own run says now how far taking back is."""
    open_words: tuple[UUID, ...] = field(default=())

    @property
    def undoable(self) -> tuple[str, ...]:
        """All calls that can be taken back, newest first."""
        return tuple(step for turn in reversed(self.turns) for step in turn.undoable)

    @property
    def stays(self) -> tuple[str, ...]:
        return tuple(step for turn in self.turns for step in turn.stays)

    @property
    def calls(self) -> tuple[CallView, ...]:
        return tuple(call for turn in self.turns for call in turn.calls)

    @property
    def taking_back(self) -> bool:
        """Whether what it did is being taken back now."""
        return any(call.undo in (Undo.UNDER_WAY, Undo.WAITS) for call in self.calls)

    @property
    def used_up(self) -> str:
        """Which budget was used up, so that it had to answer; empty where it had room."""
        if not self.turns or not self.ended or self.work_state != "succeeded":
            return ""
        if self.cost.steps >= self.cost.of_steps:
            return "steps"
        before = sum(turn.tokens for turn in self.turns[:-1])
        return "tokens" if before >= self.cost.of_tokens * LAST_WORD_AT else ""

    @property
    def live(self) -> bool:
        return not self.ended or self.taking_back

    @property
    def work_state(self) -> str:
        """What became of its work, whatever became of taking it back."""
        return self.answer.state if self.undo_asked and self.answer else self.state


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
