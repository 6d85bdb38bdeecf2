"""The steps of an agent's run so far: a pure function of what was asked and of the rows of its own steps."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from appliance.actions.registry import registry
from appliance.agent.domain import ANSWER, Asked, Call, Mode, Risk, TurnOutput, call_id, turn_id, undo_id
from appliance.agent.errors import ToolUnknown
from appliance.agent.loop.calling import Made, built, made, way_back
from appliance.agent.loop.planning import LONGEST_WHY, plan_of, together
from appliance.agent.loop.toolbox import toolbox
from appliance.agent.loop.words import one_line
from appliance.lib.duration import format_duration
from appliance.lib.jsontypes import JsonObject
from appliance.runs.domain import StepState
from appliance.runs.plan import StepRow
from appliance.safety.approvals.domain import Subject
from appliance.safety.commands.domain import SCRIPTED
from appliance.tasks.definition import StepSpec
from appliance.tasks.definition.steps import Proposal

_TURN: JsonObject = {"type": "agent_turn", "retry": {"attempts": 3, "delay": "2s"}}
BEYOND = 120
"""Seconds that a turn has beyond the agent's time: its last word, and once more where that is no JSON."""


def grown(asked: Asked, latest: Mapping[str, StepRow]) -> tuple[StepSpec, ...]:
    return Growth(asked).steps(latest)


def _turn(asked: Asked, number: int) -> StepSpec:
    """Its time is the agent's, with a little more: the turn itself ends a question in time, and counts what it cost."""
    patience = format_duration(timedelta(seconds=math.ceil(asked.budget.seconds) + BEYOND))
    return built({**_TURN, "number": number, "timeout": patience}, turn_id(number))


class Growth:
    """Of one run. A turn whose calls are known is not looked at again: rows that are final stay as they are."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._known: tuple[StepSpec, ...] = ()
        self._turn = 1

    def steps(self, latest: Mapping[str, StepRow]) -> tuple[StepSpec, ...]:
        while True:
            own = [_turn(self._asked, self._turn)]
            row = latest.get(turn_id(self._turn))
            if row is None or row.state is not StepState.SUCCEEDED:
                return (*self._known, *own)
            output = TurnOutput.of(row.output)
            if output.done or output.ended:
                return (*self._known, *own, built({"type": "agent_answer"}, ANSWER))
            calls, decided = _calls(self._asked, self._turn, output, latest)
            own += calls
            if not decided:
                return (*self._known, *own)
            self._known = (*self._known, *own)
            self._turn += 1

    def resumes_at(self, latest: Mapping[str, StepRow]) -> str:
        """From the first of the turns at its end that called nothing: they are asked once more."""
        if ANSWER not in latest:
            return ""
        outputs: list[TurnOutput] = []
        while (row := latest.get(turn_id(len(outputs) + 1))) is not None:
            outputs.append(TurnOutput.of(row.output))
        number = len(outputs)
        while number > 1 and not any(call.is_made for call in outputs[number - 2].calls):
            number -= 1
        return turn_id(number)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A call of a turn; ``gone`` says why it is none any more, though it is on record."""

    number: int
    call: Call
    found: Made | None
    word: str = ""
    gone: str = ""


def _calls(
    asked: Asked, turn: int, output: TurnOutput, latest: Mapping[str, StepRow]
) -> tuple[list[StepSpec], bool]:
    """The calls of one turn, with the question about them before, where they are asked about together.

    And whether that is decided: what comes after it is not known before.
    """
    calls = list(_wanted(asked, turn, output, latest))
    asks = [(one.number, one.call, one.found) for one in calls if one.found and one.word]
    plan = plan_of(turn, output, asks) if together(asked, asks) else None
    steps, digest, approved = [plan] if plan else [], "", True
    if plan is not None:
        row = latest.get(plan.id)
        if row is None or not _ended(row):
            return steps, False
        approved = _approved(row)
        arguments = registry()["agent_plan"].arguments(plan.params, {})
        digest = Subject("approval", "pure", arguments, 0).digest
    for one in calls:
        if one.word and not approved:
            continue
        # Its text makes it a read; which programs it runs is known at the gate alone.
        command = one.found is not None and one.found.risk is Risk.READ and one.found.raw["type"] in SCRIPTED
        proposal = Proposal(
            word=_said(one, len(calls)) if one.word else "",
            plan=plan.id if plan is not None and one.word else "",
            digest=digest if one.word else "",
            held_back=asked.mode is Mode.SHADOW and one.found is not None and one.found.risk is not Risk.READ,
            risk=one.found.risk.value if one.found else Risk.DESTROY.value,
            outside=output.outside,
            gone=one.gone,
            chosen=frozenset(one.call.arguments),
            unless_read=_word_of_change(asked, output, one.call) if command else "",
            must_read=command and asked.mode in (Mode.SHADOW, Mode.WATCH),
        )
        step = call_id(turn, one.number)
        spec = one.found.step(step) if one.found else _gone(step)
        back = _undo(asked, one.call, step) if one.found and one.found.risk is not Risk.READ else ()
        steps.append(spec.model_copy(update={"proposed": proposal, "undo": back}))
    return steps, True


def _wanted(asked: Asked, turn: int, output: TurnOutput, latest: Mapping[str, StepRow]) -> Iterator[_Wanted]:
    """The turn has looked at each of them. One that this version of the box refuses is not made any more; where it is
    on record already it stays, and fails: what has begun does not vanish from its run."""
    for number, call in enumerate(output.calls, 1):
        if not call.is_made:
            continue
        try:
            found = made(asked, call)
        except ToolUnknown as error:
            if call_id(turn, number) in latest:
                gone = f"this version of the box does not take the call any more: {error}"
                yield _Wanted(number, call, None, gone=gone)
            continue
        yield _Wanted(number, call, found, needs_word(asked, output, call, found))


def _gone(step_id: str) -> StepSpec:
    return built({"type": "set", "value": None, "on_error": "continue"}, step_id)


def _undo(asked: Asked, call: Call, step: str) -> tuple[StepSpec, ...]:
    spec = way_back(asked, call, undo_id(step))
    return (spec.model_copy(update={"undoes": step}),) if spec is not None else ()


def needs_word(asked: Asked, output: TurnOutput, call: Call, found: Made) -> str:
    """Why a person has to be asked before this call, whatever the policy says; empty where nobody has to be."""
    if found.leaves and output.outside and call.tool not in asked.trust:
        other = toolbox(asked)[call.tool].from_outside
        where = "another program" if other else "an address of its own"
        return f"it could send to {where} what it has read outside"
    if (
        found.risk is Risk.READ
        or asked.mode in (Mode.SHADOW, Mode.WATCH)
        or toolbox(asked)[call.tool].reviewed
    ):
        return ""
    return _word_of_change(asked, output, call)


def _word_of_change(asked: Asked, output: TurnOutput, call: Call) -> str:
    if asked.mode is Mode.PROPOSE:
        return "an agent proposes this"
    if output.outside and call.tool not in asked.trust:
        return "an agent that has read what came from outside wants this"
    return ""


def _said(one: _Wanted, of: int) -> str:
    place, why = f" ({one.number} of {of} in its plan)" if of > 1 else "", one_line(one.call.why, LONGEST_WHY)
    return f"{one.word}{place}; it says: “{why}”" if why else f"{one.word}{place}"


def _ended(row: StepRow) -> bool:
    return row.state in (StepState.SUCCEEDED, StepState.SKIPPED) or (
        row.state is StepState.FAILED and row.due_at is None
    )


def _approved(row: StepRow) -> bool:
    return (
        row.state is StepState.SUCCEEDED
        and isinstance(row.output, dict)
        and row.output.get("approved") is True
    )
