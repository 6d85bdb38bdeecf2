"""From the rows of an agent to what people read of it. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from appliance.actions.contract import EffectClass
from appliance.agent.domain import ANSWER, Asked, Call, StepSeen, plan_id, turn_id
from appliance.agent.explaining.domain import (
    AgentView,
    AnswerView,
    CallView,
    Cost,
    TurnView,
    Undo,
    Word,
)
from appliance.agent.explaining.rows import AgentRows, StepSeenRow
from appliance.agent.loop.growth import undo_id
from appliance.agent.loop.story import Fate, Past, Result, Story, story_of
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.runs.domain import ENDED_WITH_RUN, FINAL, RunState, StepState
from appliance.runs.growing import ASKED
from appliance.runs.shards.body import asked_back
from appliance.safety.approvals.models import Approval

_TOOK_EFFECT = (StepState.SUCCEEDED, StepState.HANDED_OVER)


def view_of(rows: AgentRows) -> AgentView:
    given = rows.own.inputs.get(ASKED)
    asked = Asked.of(given if isinstance(given, dict) else {})
    story = story_of(asked, map(_seen, rows.steps))
    ended = RunState(rows.own.state) in FINAL
    book = _Book(asked, rows)
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
        turns=tuple(book.turns(story, ended=ended)),
        answer=_answer(book.last.get(ANSWER), rows),
        ended=ended,
        may_undo=ended and RunState(rows.task_run.state) in FINAL,
        open_words=tuple(row.pk for row in rows.approvals if row.state == "open"),
    )


def _reason(rows: AgentRows) -> str:
    """A shard that ended with the run around it says only whose it is."""
    own = rows.own.reason
    return rows.task_run.reason if own.startswith("shard of step ") else own


def _seen(row: StepSeenRow) -> StepSeen:
    return StepSeen(row.step, row.state, row.output, row.detail, row.error, row.stderr, row.seconds)


def _cost(story: Story) -> Cost:
    budget = story.asked.budget
    return Cost(story.steps, story.tokens, story.seconds, budget.steps, budget.tokens, budget.seconds)


@dataclass(frozen=True, slots=True)
class _Book:
    asked: Asked
    rows: AgentRows

    @property
    def last(self) -> Mapping[str, StepSeenRow]:
        """The last attempt at each step."""
        return {row.step: row for row in self.rows.steps}

    def turns(self, story: Story, *, ended: bool) -> Iterator[TurnView]:
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
        elif not ended and self._thinks(story):
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
        shown = CallView(
            result.step, call.tool, call.arguments, call.why, result.fate, result.said, result.from_outside
        )
        own = words.get(result.step, ())
        if row is None:
            return replace(shown, words=own)
        if result.fate is Fate.DONE and row.output is None and not row.stderr:
            shown = replace(
                shown, said="", from_outside=False
            )  # nothing came back, in words for the model alone
        undo, said = self._undo(call, row, last.get(undo_id(result.step)))
        detail = row.detail
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
            undo=undo,
            undo_said=said,
        )

    def _undo(self, call: Call, row: StepSeenRow, back: StepSeenRow | None) -> tuple[Undo, str]:
        if back is not None:
            match back.state:
                case StepState.SUCCEEDED | StepState.HANDED_OVER | StepState.SKIPPED:
                    return Undo.DONE, ""
                case StepState.FAILED:
                    return Undo.FAILED, back.error
            return Undo.UNDER_WAY, back.error
        if not _may_stand(row) or row.effect == EffectClass.PURE or _only_read(row):
            return Undo.NOTHING, ""
        if call.tool not in self.asked.undo:
            return Undo.NONE, ""
        own = self.rows.own
        asked = asked_back(own) or frozenset()
        if own.undo_requested and RunState(own.state) not in FINAL and row.step in asked:
            return Undo.UNDER_WAY, ""
        return Undo.POSSIBLE, ""

    def _words(self) -> dict[str, tuple[Word, ...]]:
        found: dict[str, tuple[Word, ...]] = {}
        for row in self.rows.approvals:
            by = self.rows.deciders.get(row.pk) or ([row.decided_by] if row.decided_by else [])
            found[row.step] = (*found.get(row.step, ()), _word(row, by))
        return found


def _may_stand(row: StepSeenRow) -> bool:
    """Whether it took effect, or may have."""
    cut_off = row.state == StepState.FAILED and row.error == ENDED_WITH_RUN
    return cut_off or row.state in (*_TOOK_EFFECT, StepState.AMBIGUOUS)


def _only_read(row: StepSeenRow) -> bool:
    """A command of the class that only reads is of no effect that anybody would take back."""
    command = row.detail.get("command")
    return isinstance(command, dict) and command.get("class") == "read"


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
        malformed=output.malformed,
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


def _answer(row: StepSeenRow | None, rows: AgentRows) -> AnswerView | None:
    if row is None:
        return None
    found = row.detail
    return AnswerView(
        state=row.state,
        text=row.output if isinstance(row.output, str) else "",
        error=row.error,
        doubts=row.stderr,
        did=_calls(found.get("did")),
        handed_over=_calls(found.get("handed_over")),
        not_done=_calls(found.get("not_done")),
        would_have_done=_calls(found.get("would_have_done")),
    )


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


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else ""


def _number(value: JsonValue) -> int:
    return value if isinstance(value, int) else 0
