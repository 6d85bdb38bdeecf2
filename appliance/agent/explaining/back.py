"""Whether what a call did can be taken back, and how far that is. Pure."""

from appliance.actions.contract import EffectClass
from appliance.agent.domain import Asked, Call
from appliance.agent.explaining.domain import Stays, TakenBack, Undo, Word
from appliance.agent.explaining.rows import AgentRows, StepSeenRow
from appliance.agent.loop.ending import PROPOSES
from appliance.runs.domain import ENDED_WITH_RUN, FINAL, RunState, StepState
from appliance.runs.shards.body import asked_back

FOR_PEOPLE = PROPOSES
"""Their result is the box's own word."""
_TOOK_EFFECT = (StepState.SUCCEEDED, StepState.HANDED_OVER)


def taken_back(
    rows: AgentRows,
    asked: Asked,
    call: Call,
    row: StepSeenRow,
    back: StepSeenRow | None,
    words: tuple[Word, ...],
) -> TakenBack:
    """``back`` is the step that takes ``row`` back, ``words`` are what people were asked about that."""
    own = rows.own
    if back is not None:
        return TakenBack(_state_of(back, words), back.error, words, own.undo_by, back.finished_at, own.pk)
    if not _may_stand(row) or row.effect == EffectClass.PURE or _only_read(row) or row.kind in FOR_PEOPLE:
        return TakenBack()
    if own.undo_requested and RunState(own.state) not in FINAL and row.step in (asked_back(own) or ()):
        return TakenBack(Undo.UNDER_WAY, by=own.undo_by, run_id=own.pk)
    stays = _stays(rows, asked, call, row)
    if stays is None:
        return TakenBack(Undo.POSSIBLE)
    return TakenBack(Undo.NONE, stays=stays, run_id=row.shared_from)


def _stays(rows: AgentRows, asked: Asked, call: Call, row: StepSeenRow) -> Stays | None:
    """Once it is over the engine's own word counts; before that, what its author wrote."""
    back = rows.back
    if back is not None and row.step in back.steps:
        return None
    if row.shared_from is not None:
        return Stays.ELSEWHERE
    if call.tool not in asked.undo:
        return Stays.NO_WAY
    if back is None:
        return None
    return Stays.SAFE_STATE if back.safe_state else Stays.DOES_NOT_FIT


def _state_of(back: StepSeenRow, words: tuple[Word, ...]) -> Undo:
    match back.state:
        case StepState.SUCCEEDED | StepState.HANDED_OVER | StepState.SKIPPED:
            return Undo.DONE
        case StepState.FAILED:
            return Undo.FAILED
    return Undo.WAITS if any(word.state == "open" for word in words) else Undo.UNDER_WAY


def _may_stand(row: StepSeenRow) -> bool:
    """Whether it took effect, or may have."""
    cut_off = row.state == StepState.FAILED and row.error == ENDED_WITH_RUN
    return cut_off or row.state in (*_TOOK_EFFECT, StepState.AMBIGUOUS)


def _only_read(row: StepSeenRow) -> bool:
    """A command of the class that only reads is of no effect that anybody would take back."""
    command = row.detail.get("command")
    return isinstance(command, dict) and command.get("class") == "read"
