"""From the rows of an agent to what people read of it. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from appliance.agent.domain import ANSWER, Asked, plan_id, turn_id, undo_id
from appliance.agent.explaining.back import FOR_PEOPLE, taken_back
from appliance.agent.explaining.domain import (
    AgentView,
    AnswerView,
    CallView,
    Cost,
    TakenBack,
    TurnView,
    Undo,
    Word,
)
from appliance.agent.explaining.rows import AgentRows, StepSeenRow
from appliance.agent.loop.ending import not_confirmed
from appliance.agent.loop.story import Fate, Past, Result, Story, story_of
from appliance.agent.spelling import telling
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.runs.domain import FINAL, RunState, StepState
from appliance.runs.growing import ASKED
from appliance.runs.plan import Phase
from appliance.runs.shards.counting import NOT_NEEDED
from appliance.safety.approvals.models import Approval

NOT_BEGUN = "the run was ended before: nothing was done"
CUT_OFF = "it was cut off when the run was ended: whether it was done is not known"


def view_of(rows: AgentRows) -> AgentView:
    given = rows.own.inputs.get(ASKED)
    asked = Asked.of(given if isinstance(given, dict) else {})
    # Taking back is no work of its own.
    story = story_of(asked, (row for row in rows.steps if row.phase != Phase.UNDO))
    # Its own run goes on once more to take back what it did.
    over = RunState(rows.own.state) in FINAL
    ended = over or rows.own.undo_requested
    book = _Book(asked, rows, ended)
    turns = tuple(book.turns(story))
    return AgentView(
        run_id=rows.own.pk,
        task_run=rows.task_run.pk,
        step=rows.step,
        attempt=rows.attempt,
        state=rows.own.state,
        waiting_for=rows.own.waiting_for,
        reason=_reason(rows),
        principal=rows.own.principal,
        asked=asked,
        cost=_cost(story),
        turns=turns,
        answer=_answer(book.last.get(ANSWER), {call.step: call for turn in turns for call in turn.calls}),
        ended=ended,
        may_undo=rows.back is not None and rows.back.goes_on is None,
        goes_on=rows.back.goes_on if rows.back else None,
        undo_asked=rows.own.undo_requested,
        open_words=tuple(row.pk for row in rows.approvals if row.state == "open" and not over),
    )


def _reason(rows: AgentRows) -> str:
    """A shard that ended with the run around it says only whose it is."""
    own = rows.own.reason
    return rows.task_run.reason if own.startswith("shard of step ") or own == NOT_NEEDED else own


def _cost(story: Story) -> Cost:
    budget = story.asked.budget
    return Cost(story.steps, story.tokens, story.seconds, budget.steps, budget.tokens, budget.seconds)


@dataclass(frozen=True, slots=True)
class _Book:
    asked: Asked
    rows: AgentRows
    ended: bool

    @property
    def last(self) -> Mapping[str, StepSeenRow]:
        """The last attempt at each step."""
        return {row.step: row for row in self.rows.steps}

    def turns(self, story: Story) -> Iterator[TurnView]:
        last, words = self.last, self._words()
        attempts: dict[str, list[StepSeenRow]] = {}
        for row in self.rows.steps:
            attempts.setdefault(row.step, []).append(row)
        for past in story.past:
            row = last[turn_id(past.number)]
            calls = tuple(self._call(result, last, words, attempts) for result in past.results)
            yield _turn(past, row, calls, words.get(plan_id(past.number), ()), attempts[row.step])
        number = len(story.past) + 1
        row_now = last.get(turn_id(number))
        if row_now is not None:
            yield _begun(number, row_now, attempts[row_now.step])
        elif not self.ended and self._thinks(story):
            yield TurnView(number, "running")

    def _thinks(self, story: Story) -> bool:
        """Whether the next turn is under way: it has no row before it has ended."""
        if self.rows.own.state == RunState.WAITING or not story.past:
            return self.rows.own.state != RunState.WAITING
        before = story.past[-1]
        over = before.output.done or bool(before.output.ended)
        return not over and not any(result.fate is Fate.UNDER_WAY for result in before.results)

    def _call(
        self,
        result: Result,
        last: Mapping[str, StepSeenRow],
        words: Mapping[str, tuple[Word, ...]],
        attempts: Mapping[str, list[StepSeenRow]],
    ) -> CallView:
        row, call = last.get(result.step), result.call
        own = words.get(result.step, ())
        fate, said = self._fate(result, row, own)
        fixed = telling(self.asked.tools.get(call.tool, {}))
        outside = result.from_outside and (row is None or row.kind not in FOR_PEOPLE)
        shown = CallView(result.step, call.tool, call.arguments, call.why, fate, said, outside, fixed=fixed)
        if row is None:
            return replace(shown, words=own)
        if result.fate is Fate.DONE and row.output is None and not row.stderr:
            shown = replace(
                shown, said="", from_outside=False
            )  # nothing came back, in words for the model alone
        back, detail = undo_id(result.step), row.detail
        held = result.fate is Fate.HELD_BACK
        return replace(
            shown,
            state=row.state,
            kind=row.kind,
            effect=row.effect,
            gate=_text(detail.get("gate")),
            verdict=_text(detail.get("verdict")) if held else "",
            because=_text(detail.get("because")) if held else "",
            attempts=len(attempts[result.step]),
            seconds=row.seconds,
            words=own,
            back=TakenBack()
            if said == NOT_BEGUN
            else taken_back(self.rows, self.asked, call, row, last.get(back), words.get(back, ())),
        )

    def _fate(self, result: Result, row: StepSeenRow | None, words: tuple[Word, ...]) -> tuple[Fate, str]:
        """Of a run that is over nothing is to come any more; what nobody had allowed was not done either."""
        if result.fate is Fate.UNDER_WAY and self.ended and (row is None or row.state == StepState.WAITING):
            return Fate.CANCELLED, NOT_BEGUN
        if result.fate is Fate.CANCELLED and row is not None:
            asked_in_vain = bool(words) and not any(word.state == "used" for word in words)
            return Fate.CANCELLED, NOT_BEGUN if asked_in_vain else CUT_OFF
        return result.fate, result.said

    def _words(self) -> dict[str, tuple[Word, ...]]:
        found: dict[str, tuple[Word, ...]] = {}
        for row in self.rows.approvals:
            by = self.rows.deciders.get(row.pk) or ([row.decided_by] if row.decided_by else [])
            word = _word(row, by)
            if word.state == "open" and RunState(self.rows.own.state) in FINAL:
                word = replace(word, state="void")  # the row itself is closed a moment later
            found[row.step] = (*found.get(row.step, ()), word)
        return found


def _turn(
    past: Past,
    row: StepSeenRow,
    calls: tuple[CallView, ...],
    plan: tuple[Word, ...],
    tries: list[StepSeenRow],
) -> TurnView:
    output, detail = past.output, row.detail
    return TurnView(
        number=past.number,
        state=row.state,
        say=output.say,
        calls=calls,
        done=output.done,
        malformed=_unread(output.malformed),
        ended=output.ended,
        outside=output.outside,
        plan=plan,
        failures=tuple(one.error for one in tries[:-1]),
        tokens=output.tokens + sum(_number(one.detail.get("tokens")) for one in tries[:-1]),
        seconds=_seconds(detail, row),
        asked=_number(detail.get("asked")),
        model=_text(detail.get("model")),
        digest=_text(detail.get("digest")),
        engine=_text(detail.get("engine")),
        chosen_because=_text(detail.get("chosen_because")),
        sent_digest=_text(detail.get("sent_digest")),
        came_digest=_text(detail.get("came_digest")),
        offered=_names(detail.get("offered")),
        at=row.finished_at,
    )


def _begun(number: int, row: StepSeenRow, tries: list[StepSeenRow]) -> TurnView:
    """A turn that has not given anything yet: it waits for a model, or failed."""
    return TurnView(
        number=number,
        state=row.state,
        failures=tuple(one.error for one in tries if one.error),
        tokens=sum(_number(one.detail.get("tokens")) for one in tries),
        at=row.finished_at,
    )


def _answer(row: StepSeenRow | None, calls: Mapping[str, CallView]) -> AnswerView | None:
    if row is None:
        return None
    found, text = row.detail, _text(row.output)
    return AnswerView(
        state=row.state,
        text=text,
        own_words=text.removesuffix(not_confirmed(row.stderr)) if row.stderr else text,
        error=row.error,
        doubts=row.stderr,
        did=tuple(_since(one, calls) for one in _calls(found.get("did"))),
        handed_over=tuple(_since(one, calls) for one in _calls(found.get("handed_over"))),
        not_done=tuple(_since(one, calls) for one in _calls(found.get("not_done"))),
        would_have_done=tuple(_since(one, calls) for one in _calls(found.get("would_have_done"))),
    )


def _since(one: JsonObject, calls: Mapping[str, CallView]) -> JsonObject:
    """A call that was done, with what has become of it since: whether it was taken back, and by which run."""
    call = calls.get(_text(one.get("step")))
    if call is not None and call.fixed:
        one = {**one, "fixed": call.fixed}
    if call is None or call.undo not in (Undo.WAITS, Undo.UNDER_WAY, Undo.DONE, Undo.FAILED):
        return one
    return {
        **one,
        "undo": call.undo.value,
        "undo_run": str(call.back.run_id),
        "undo_denied": call.back.denied is not None,
    }


def _word(row: Approval, by: list[str]) -> Word:
    return Word(
        row.pk, row.state, row.rule, row.reason, row.needed, tuple(by), row.way,
        row.decision_reason or row.closed_because, row.created_at, row.decided_at,
    )  # fmt: skip


def _seconds(detail: JsonObject, row: StepSeenRow) -> float:
    spent = detail.get("seconds")
    return float(spent) if isinstance(spent, int | float) else row.seconds


def _calls(value: JsonValue) -> tuple[JsonObject, ...]:
    return tuple(one for one in value if isinstance(one, dict)) if isinstance(value, list) else ()


def _names(value: JsonValue) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _unread(why: str) -> str:
    """Rows of earlier versions have the words of the parser behind it."""
    return "it is no JSON" if why.startswith("it is no JSON:") else why


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else ""


def _number(value: JsonValue) -> int:
    return value if isinstance(value, int) else 0
