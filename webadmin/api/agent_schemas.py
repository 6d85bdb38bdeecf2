"""What the API says and takes about agents."""

from datetime import datetime
from typing import Any
from uuid import UUID

from ninja import Schema
from pydantic import Field


class WordOut(Schema):
    """What people were asked about a step, and who said what; ``rule`` asked for it."""

    id: UUID
    state: str
    rule: str
    why: str
    needed: int
    by: list[str]
    way: str
    reason: str
    asked_at: datetime
    decided_at: datetime | None


class CallOut(Schema):
    """A call of a tool. ``fate`` is what became of it; ``said`` is the beginning of what came back, from outside where
    ``from_outside``. ``gate`` is the rule or approval that let its step pass, ``verdict`` what the gate said of one
    that was held back."""

    step: str
    tool: str
    arguments: dict[str, Any]
    why: str
    fate: str
    said: str
    from_outside: bool
    state: str
    kind: str
    effect: str
    gate: str
    verdict: str
    because: str
    attempts: int
    seconds: float
    approvals: list[WordOut]
    undo: str = Field(
        description="whether it can be taken back: nothing, none, possible, waits, under_way, done, failed"
    )
    undo_said: str
    undo_approvals: list[WordOut]
    undo_by: str = Field(description="who asked that it is taken back")
    undo_run: UUID | None = Field(description="the run whose step takes it back, or in which it could be")
    stays: str = Field(description="why nothing takes it back: no_way, does_not_fit, safe_state, elsewhere")


class TurnOut(Schema):
    """A turn: what the model said, and what it cost. ``undoable`` are its calls that can be taken back."""

    number: int
    state: str
    say: str
    calls: list[CallOut]
    done: bool
    malformed: str
    ended: str
    outside: bool = Field(description="whether it had read what came from outside")
    plan: list[WordOut]
    failures: list[str]
    tokens: int
    seconds: float
    asked: int = Field(description="questions to the model")
    model: str
    digest: str
    engine: str
    chosen_because: str
    sent_digest: str
    came_digest: str
    offered: list[str]
    at: datetime | None
    undoable: list[str]


class AgentAnswerOut(Schema):
    """What it came to; the lists are read back from the rows of its calls."""

    state: str
    text: str
    error: str
    doubts: str
    did: list[dict[str, Any]]
    handed_over: list[dict[str, Any]]
    not_done: list[dict[str, Any]]
    would_have_done: list[dict[str, Any]]


class CostOut(Schema):
    """What is spent, and what may be: turns and calls, tokens, seconds of work."""

    steps: int
    tokens: int
    seconds: float
    of_steps: int
    of_tokens: int
    of_seconds: float


class AgentOut(Schema):
    """A step `agent`. ``run_id`` is its own run, which its turns and calls are steps of."""

    run_id: UUID
    task_run: UUID
    step: str
    attempt: int
    state: str
    waiting_for: str
    reason: str
    principal: str
    goal: str
    goal_from_outside: bool
    mode: str
    tools: dict[str, dict[str, Any]]
    cost: CostOut
    turns: list[TurnOut]
    answer: AgentAnswerOut | None
    ended: bool
    undoable: list[str]
    not_undoable: list[str]


class PieceOut(Schema):
    """A part of what was sent to the model; from outside where it says so, and then of what."""

    text: str
    outside: bool
    of: str


class ExplainedOut(TurnOut):
    """A turn with what was sent and what came back, as far as it is kept."""

    run_id: UUID
    step: str
    sent: list[PieceOut]
    came: str
    withheld: bool = Field(description="what was sent tells somebody else's conversation, and is not given")


class UndoIn(Schema):
    turn: int | None = Field(
        default=None, ge=1, description="one turn; without it all of them, the newest first"
    )


class UndoOut(Schema):
    steps: list[str] = Field(description="the calls, in the order in which they are taken back")
