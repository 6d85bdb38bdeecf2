"""What became of a call, and of taking it back, as a terminal says it; the codes stand in JSON."""

import json
from collections.abc import Iterator

from appliance.agent.explaining.domain import AgentView, CallView, Stays, TurnView, Undo, Word
from appliance.agent.loop.story import Fate

_FATES = {
    Fate.HANDED_OVER: "handed over, not confirmed yet",
    Fate.REFUSED: "not taken",
    Fate.HELD_BACK: "held back",
    Fate.UNDER_WAY: "to come",
    Fate.LAPSED: "nobody decided",
}
_UNDOS = {
    Undo.POSSIBLE: "can be taken back",
    Undo.WAITS: "taking it back waits for a person",
    Undo.UNDER_WAY: "being taken back",
    Undo.DONE: "taken back",
    Undo.FAILED: "taking it back failed",
}
_STAYS = {
    Stays.NO_WAY: "nothing takes it back",
    Stays.DOES_NOT_FIT: "nothing takes it back: its undo does not fit what it was given",
    Stays.SAFE_STATE: "it is not taken back: its step keeps to a safe state",
    Stays.ELSEWHERE: "it is taken back where it was done",
}
_BEGUN = ("intent", "running", "waiting")


def state_said(agent: AgentView) -> str:
    if agent.ended:
        return f"{agent.work_state}{_taking_back(agent)}"
    waits = f" for {agent.waiting_for.replace('_', ' ')}" if agent.waiting_for else ""
    return f"{agent.state}{waits}"


def _taking_back(agent: AgentView) -> str:
    """How far the undo is that somebody asked for, apart from what its work came to."""
    undos = {call.undo for call in agent.calls}
    found = next((one for one in (Undo.WAITS, Undo.UNDER_WAY) if one in undos), None)
    return f"; {_UNDOS[found]}" if found else ""


def call_line(call: CallView) -> str:
    given = json.dumps(call.given, ensure_ascii=False)
    return f"{call.step} {call.tool} {given}: {'; '.join(_of_call(call))}"


def plan_lines(turn: TurnView) -> Iterator[str]:
    for word in turn.plan:
        yield f"{turn.plan_step}, all of it together: {_of_word(word)}"


def _of_call(call: CallView) -> Iterator[str]:
    if call.waits:
        yield "waits for a person"
    elif call.fate is Fate.UNDER_WAY and call.state in _BEGUN:
        yield "under way"
    else:
        yield _FATES.get(call.fate, call.fate.value)
    if decided := call.verdict or call.gate:
        yield decided
    yield from (_of_word(word) for word in call.words if word.by)
    back = call.back
    if back.stays is not None:
        yield f"{_STAYS[back.stays]}{f', run {back.run_id}' if back.run_id else ''}"
    elif (word := back.denied) is not None:
        reason = f" ({word.reason})" if word.reason else ""
        yield f"not taken back: denied by {', '.join(word.by)}{reason}"
    elif back.undo in _UNDOS:
        yield _UNDOS[back.undo] + "".join(_whence(call))
        yield from (_of_word(word) for word in back.words)


def _whence(call: CallView) -> Iterator[str]:
    back = call.back
    if back.by:
        yield f" for {back.by}"
    if back.undo is not Undo.POSSIBLE and back.run_id:
        yield f" by run {back.run_id}, step {call.undo_step}"
    if back.said and not back.words:
        yield f": {back.said}"


def _of_word(word: Word) -> str:
    said = "waits for a person" if word.state == "open" else word.state
    by = f" by {', '.join(word.by)}" if word.by else ""
    reason = f" ({word.reason})" if word.reason else ""
    return f"{said}{by}{reason}"
