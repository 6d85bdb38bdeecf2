"""What has happened so far, from the rows of an agent's own steps. Pure."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from appliance.agent.conversations.domain import NOTHING, Before
from appliance.agent.domain import Asked, Call, StepSeen, TurnOutput, call_id, plan_id, turn_id
from appliance.lib.digest import canonical_json
from appliance.runs.domain import ENDED_WITH_RUN, StepState
from appliance.safety.approvals.domain import has_lapsed

SAME_AT_MOST = 2
"""How often the very same call is made; after that it is refused."""
IDLE_AT_MOST = 3
"""Turns in a row without a call that was made, and without an end."""
LAST_WORD_AT = 0.8
"""So much of its tokens may be spent before it has to answer."""
CALLS_A_RUN = "task"
_WORD = "approval.refused"
_NO_WORD = frozenset({_WORD, "approval.nobody"})


class Fate(StrEnum):
    """What became of a call."""

    DONE = "done"
    HANDED_OVER = "handed_over"
    FAILED = "failed"
    DENIED = "denied"
    """A person, the policy or a budget said no."""
    LAPSED = "lapsed"
    """A person was asked, and nobody decided in time, or on what it was by then."""
    CANCELLED = "cancelled"
    """The run was ended before it was decided or made, or while it was under way."""
    REFUSED = "refused"
    """The box did not take it for a call."""
    HELD_BACK = "held_back"
    NOTED = "noted"
    UNDER_WAY = "under_way"


@dataclass(frozen=True, slots=True)
class Result:
    """A call and what came of it; ``said`` is a text from outside only where the call was made."""

    step: str
    call: Call
    fate: Fate
    said: str = ""
    by_person: bool = False
    """Of one that was denied: a person said so, and no policy, budget or other rule."""

    @property
    def from_outside(self) -> bool:
        return self.fate in (Fate.DONE, Fate.FAILED) and bool(self.said)


@dataclass(frozen=True, slots=True)
class Past:
    number: int
    output: TurnOutput
    results: tuple[Result, ...] = ()

    @property
    def is_idle(self) -> bool:
        return not any(result.call.is_made for result in self.results)


@dataclass(frozen=True, slots=True)
class Story:
    """``steps``, ``tokens`` and ``seconds`` are spent. ``before``: the conversation that it goes on with."""

    asked: Asked
    past: tuple[Past, ...]
    steps: int
    tokens: int
    seconds: float
    before: Before = NOTHING
    working: float = 0.0
    """Of ``seconds`` those in which it did not wait for a run that it had called."""
    shares: bool = False
    """Whether its budget is what is left of another agent's."""

    @property
    def results(self) -> tuple[Result, ...]:
        return tuple(result for turn in self.past for result in turn.results)

    @property
    def outside(self) -> bool:
        """Whether whoever reads it reads something from outside."""
        asked = self.asked
        # With tools of other servers it is told what those say of them.
        told = asked.outside or asked.system_outside or self.before.outside or bool(asked.remote)
        # What was read once stays read, also where it is not told any more.
        past = any(turn.output.outside for turn in self.past)
        return told or past or any(result.from_outside for result in self.results)

    @property
    def not_allowed(self) -> tuple[Result, ...]:
        """What a person was asked about in vain: it is not asked for again, with a no or without."""
        return tuple(result for result in self.results if result.fate in (Fate.DENIED, Fate.LAPSED))

    def same(self, call: Call) -> list[Result]:
        """The earlier calls of the same tool with the same arguments that were made."""
        key = _key(call)
        return [result for result in self.results if result.call.is_made and _key(result.call) == key]

    @property
    def idle(self) -> int:
        """Turns in a row, up to now, that called nothing that was made."""
        count = 0
        for turn in reversed(self.past):
            if not turn.is_idle:
                break
            count += 1
        return count

    def over(self) -> str:
        """Which budget is used up but for the turn that answers; empty where there is room."""
        budget, its = self.asked.budget, "its share of the" if self.shares else "its"
        if self.steps + 1 >= budget.steps:
            return f"{its} budget of {budget.steps} steps is used up"
        if self.tokens >= budget.tokens * LAST_WORD_AT:
            return f"{its} budget of {budget.tokens:,} tokens is used up"
        if self.seconds >= budget.seconds:
            return f"{its} budget of {budget.seconds:g} s of work is used up"
        return ""


def story_of(
    asked: Asked, seen: Iterable[StepSeen], before: Before = NOTHING, known: Iterable[Past] = ()
) -> Story:
    """``seen``: every attempt at every step, in order. ``known``: the first turns, as made before of the same rows."""
    attempts = list(seen)
    rows = {one.step: one for one in attempts}
    past = [*known]
    while (turn := rows.get(turn_id(len(past) + 1))) is not None and turn.state == StepState.SUCCEEDED:
        output = TurnOutput.of(turn.output)
        number = len(past) + 1
        results = tuple(
            _result(call_id(number, place), call, rows, number) for place, call in enumerate(output.calls, 1)
        )
        past.append(Past(number, output, results))
    made = sum(result.step in rows for turn in past for result in turn.results)
    tokens = sum(turn.output.tokens for turn in past) + sum(map(_spent_in_vain, attempts))
    seconds = sum(one.seconds for one in attempts)
    waited = sum(one.seconds for one in attempts if one.kind == CALLS_A_RUN)
    return Story(asked, tuple(past), len(past) + made, tokens, seconds, before, seconds - waited)


def _spent_in_vain(one: StepSeen) -> int:
    """Tokens of an attempt at a turn that gave nothing."""
    spent = one.detail.get("tokens")
    failed = one.state == StepState.FAILED and one.step.startswith("turn-")
    return spent if failed and isinstance(spent, int) else 0


def _result(step: str, call: Call, rows: Mapping[str, StepSeen], turn: int) -> Result:
    if call.refused:
        return Result(step, call, Fate.REFUSED, call.refused)
    if call.noted:
        return Result(step, call, Fate.NOTED)
    row = rows.get(step)
    if row is None:
        plan = rows.get(plan_id(turn))
        fate, said = _without_a_row(plan)
        # A question that people answered gives an output, whatever they said; one that nobody was asked fails.
        asked = plan is not None and plan.state == StepState.SUCCEEDED
        return Result(step, call, fate, said, asked and fate is Fate.DENIED)
    match row.state:
        case StepState.SUCCEEDED:
            return Result(step, call, Fate.DONE, _text(row))
        case StepState.HANDED_OVER:
            return Result(step, call, Fate.HANDED_OVER)
        case StepState.SKIPPED:
            verdict, because = row.detail.get("verdict", ""), row.detail.get("because", "")
            return Result(
                step, call, Fate.HELD_BACK, f"the gate says {verdict}{f': {because}' if because else ''}"
            )
        case StepState.FAILED:
            fate = _failed(row)
            return Result(
                step, call, fate, row.error, fate is Fate.DENIED and row.detail.get("gate") == _WORD
            )
    return Result(step, call, Fate.UNDER_WAY)


def _failed(row: StepSeen) -> Fate:
    if row.error == ENDED_WITH_RUN:
        return Fate.CANCELLED
    if str(row.detail.get("gate", "")) in _NO_WORD:
        return Fate.LAPSED if has_lapsed(row.error) else Fate.DENIED
    return Fate.DENIED if row.error.startswith("refused: ") else Fate.FAILED


def _without_a_row(plan: StepSeen | None) -> tuple[Fate, str]:
    """A call of a plan that was not approved became no step."""
    if plan is None:
        return Fate.UNDER_WAY, ""
    if plan.state == StepState.SUCCEEDED and isinstance(plan.output, dict):
        if plan.output.get("approved") is True:
            return Fate.UNDER_WAY, ""
        by, why = plan.output.get("by") or "", str(plan.output.get("reason") or "")
        if not by:
            return Fate.LAPSED, why
        return Fate.DENIED, f"the plan was not approved (by {by}){f': {why}' if why else ''}"
    if plan.state == StepState.FAILED and plan.error == ENDED_WITH_RUN:
        return Fate.CANCELLED, "the run was ended before anybody decided: nothing was done"
    if plan.state == StepState.FAILED:
        return Fate.LAPSED if has_lapsed(plan.error) else Fate.DENIED, plan.error
    return Fate.UNDER_WAY, ""


def _text(row: StepSeen) -> str:
    said = row.output if isinstance(row.output, str) else json.dumps(row.output, ensure_ascii=False)
    return f"{said}\n(errors: {row.stderr})" if row.stderr else said


def _key(call: Call) -> bytes:
    return canonical_json([call.tool, call.arguments])
