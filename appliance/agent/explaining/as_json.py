"""What an agent did, as JSON: the API and commands say the same words."""

from typing import Any

from appliance.agent.explaining.domain import (
    AgentView,
    AnswerView,
    CallView,
    Cost,
    Explained,
    Piece,
    TurnView,
    Word,
)
from appliance.lib.jsontypes import JsonObject


def _word(one: Word) -> JsonObject:
    return {
        "id": str(one.id),
        "state": one.state,
        "rule": one.rule,
        "why": one.why,
        "needed": one.needed,
        "by": list(one.by),
        "way": one.way,
        "reason": one.reason,
        "asked_at": one.asked_at.isoformat(),
        "decided_at": one.decided_at.isoformat() if one.decided_at else None,
    }


def _call(one: CallView) -> JsonObject:
    return {
        "step": one.step,
        "tool": one.tool,
        "arguments": one.arguments,
        "why": one.why,
        "fate": one.fate.value,
        "said": one.said,
        "from_outside": one.from_outside,
        "state": one.state,
        "kind": one.kind,
        "effect": one.effect,
        "gate": one.gate,
        "verdict": one.verdict,
        "because": one.because,
        "attempts": one.attempts,
        "seconds": one.seconds,
        "approvals": [_word(word) for word in one.words],
        "undo": one.undo.value,
        "undo_said": one.back.said,
        "undo_approvals": [_word(word) for word in one.back.words],
        "undo_by": one.back.by,
        "undo_run": str(one.back.run_id) if one.back.run_id else None,
        "stays": one.back.stays.value if one.back.stays else "",
    }


def _turn(one: TurnView) -> JsonObject:
    return {
        "number": one.number,
        "state": one.state,
        "say": one.say,
        "calls": [_call(call) for call in one.calls],
        "done": one.done,
        "malformed": one.malformed,
        "ended": one.ended,
        "outside": one.outside,
        "plan": [_word(word) for word in one.plan],
        "failures": list(one.failures),
        "tokens": one.tokens,
        "seconds": one.seconds,
        "asked": one.asked,
        "model": one.model,
        "digest": one.digest,
        "engine": one.engine,
        "chosen_because": one.chosen_because,
        "sent_digest": one.sent_digest,
        "came_digest": one.came_digest,
        "offered": list(one.offered),
        "at": one.at.isoformat() if one.at else None,
        "undoable": list(one.undoable),
    }


def _answer(one: AnswerView) -> JsonObject:
    return {
        "state": one.state,
        "text": one.text,
        "error": one.error,
        "doubts": one.doubts,
        "did": list(one.did),
        "handed_over": list(one.handed_over),
        "not_done": list(one.not_done),
        "would_have_done": list(one.would_have_done),
    }


def _cost(one: Cost) -> JsonObject:
    return {
        "steps": one.steps,
        "tokens": one.tokens,
        "seconds": round(one.seconds, 3),
        "of_steps": one.of_steps,
        "of_tokens": one.of_tokens,
        "of_seconds": one.of_seconds,
    }


def agent(one: AgentView) -> JsonObject:
    tools: dict[str, Any] = {name: dict(fixed) for name, fixed in one.asked.tools.items()}
    return {
        "run_id": str(one.run_id),
        "task_run": str(one.task_run),
        "step": one.step,
        "attempt": one.attempt,
        "state": one.state,
        "waiting_for": one.waiting_for,
        "reason": one.reason,
        "principal": one.principal,
        "goal": one.asked.goal,
        "goal_from_outside": one.asked.outside,
        "mode": one.asked.mode.value,
        "tools": tools,
        "cost": _cost(one.cost),
        "turns": [_turn(turn) for turn in one.turns],
        "answer": _answer(one.answer) if one.answer else None,
        "ended": one.ended,
        "undoable": list(one.undoable),
        "not_undoable": list(one.stays),
    }


def _piece(one: Piece) -> JsonObject:
    return {"text": one.text, "outside": one.outside, "of": one.of}


def explained(one: Explained) -> JsonObject:
    return {
        **_turn(one.turn),
        "run_id": str(one.agent.run_id),
        "step": one.agent.step,
        "sent": [_piece(piece) for piece in one.sent],
        "came": one.came,
        "withheld": one.withheld,
    }
