"""The steps of an agent's run so far: a pure function of what was asked and of the rows of its own steps."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from datetime import timedelta

from appliance.actions.registry import registry
from appliance.agent.domain import (
    ANSWER,
    Approvals,
    Asked,
    Call,
    Mode,
    Risk,
    TurnOutput,
    call_id,
    plan_id,
    turn_id,
)
from appliance.agent.errors import ToolUnknown
from appliance.agent.loop.calling import Made, made
from appliance.agent.loop.words import all_seen, one_line, plain_words
from appliance.lib.digest import canonical_json
from appliance.lib.duration import format_duration
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.runs.domain import StepState
from appliance.runs.plan import StepRow
from appliance.safety.approvals.domain import Subject
from appliance.safety.approvals.shown import LONGEST
from appliance.safety.commands.domain import SCRIPTED
from appliance.tasks.definition import StepSpec
from appliance.tasks.definition.build import step_of
from appliance.tasks.definition.steps import Proposal

_TURN: JsonObject = {"type": "agent_turn", "retry": {"attempts": 3, "delay": "2s"}}
_LONGEST_PLAN = LONGEST - 500
"""Characters: a plan that would not be shown whole is asked about call by call."""
_LONGEST_SAY = 300
_LONGEST_WHY = 200
PATIENCE = timedelta(minutes=30)


def grown(asked: Asked, latest: Mapping[str, StepRow]) -> tuple[StepSpec, ...]:
    return tuple(_steps(asked, latest))


def _steps(asked: Asked, latest: Mapping[str, StepRow]) -> Iterator[StepSpec]:
    number = 1
    while True:
        yield built({**_TURN, "number": number}, turn_id(number))
        row = latest.get(turn_id(number))
        if row is None or row.state is not StepState.SUCCEEDED:
            return
        output = TurnOutput.of(row.output)
        if output.done or output.ended:
            yield built({"type": "agent_answer"}, ANSWER)
            return
        decided = yield from _calls(asked, number, output, latest)
        if not decided:
            return
        number += 1


def _calls(
    asked: Asked, turn: int, output: TurnOutput, latest: Mapping[str, StepRow]
) -> Generator[StepSpec, None, bool]:
    """The calls of one turn, with the question about them before, where they are asked about together.

    Gives whether that is decided: what comes after it is not known before.
    """
    calls = list(_made(asked, turn, output, latest))
    asks = [one for one in calls if needs_word(asked, output, one[1], one[2])]
    plan = _plan(asked, turn, output, asks) if _together(asked, asks) else None
    digest, approved = "", True
    if plan is not None:
        yield plan
        row = latest.get(plan.id)
        if row is None or not _ended(row):
            return False
        approved = _approved(row)
        arguments = registry()["agent_plan"].arguments(plan.params, {})
        digest = Subject("approval", "pure", arguments, 0).digest
    for number, call, found in calls:
        word = needs_word(asked, output, call, found)
        if word and not approved:
            continue
        held = asked.mode is Mode.SHADOW and found.risk is not Risk.READ
        proposal = Proposal(
            word=_said(word, number, call, len(calls)) if word else "",
            plan=plan.id if plan is not None and word else "",
            digest=digest if word else "",
            held_back=held,
            chosen=frozenset(call.arguments),
        )
        yield found.step(call_id(turn, number)).model_copy(update={"proposed": proposal})
    return True


def _made(
    asked: Asked, turn: int, output: TurnOutput, latest: Mapping[str, StepRow]
) -> Iterator[tuple[int, Call, Made]]:
    """The turn has looked at each of them. One that this version of the box refuses is not made any more.

    Raises ToolUnknown where that one is on record already: what has begun does not vanish from its run.
    """
    for number, call in enumerate(output.calls, 1):
        if not call.is_made:
            continue
        try:
            found = made(asked, call)
        except ToolUnknown:
            if call_id(turn, number) in latest:
                raise
            continue
        yield number, call, found


def needs_word(asked: Asked, output: TurnOutput, call: Call, found: Made) -> str:
    """Why a person has to be asked before this call, whatever the policy says; empty where nobody has to be."""
    if found.leaves and output.outside and call.tool not in asked.trust:
        return "it could send to an address of its own what it has read outside"
    if found.risk is Risk.READ or asked.mode in (Mode.SHADOW, Mode.WATCH):
        return ""
    if asked.mode is Mode.PROPOSE:
        return "an agent proposes this"
    if output.outside and call.tool not in asked.trust:
        return "an agent that has read what came from outside wants this"
    return ""


def _said(word: str, number: int, call: Call, of: int) -> str:
    place, why = f" ({number} of {of} in its plan)" if of > 1 else "", one_line(call.why, _LONGEST_WHY)
    return f"{word}{place}; it says: “{why}”" if why else f"{word}{place}"


# --- the question about all calls of a turn


def _together(asked: Asked, asks: Sequence[tuple[int, Call, Made]]) -> bool:
    """A command asks by itself, for its approval is bound to the programs that it would run."""
    bound = sum(found.raw["type"] in SCRIPTED for _, _, found in asks)
    return asked.approvals is Approvals.PLAN and len(asks) - bound > 1 and len(asks) <= 18


def _plan(
    asked: Asked, turn: int, output: TurnOutput, asks: Sequence[tuple[int, Call, Made]]
) -> StepSpec | None:
    """The one question about these calls; None where people would not see them whole."""
    shown: list[JsonValue] = [_line(number, call, found) for number, call, found in asks]
    say = one_line(output.say, _LONGEST_SAY)
    question = f"An agent proposes {len(asks)} steps{f': {say}' if say else '.'}"
    if len("\n".join([question, *map(str, shown)])) > _LONGEST_PLAN:
        return None
    raw: JsonObject = {
        "type": "agent_plan",
        "question": question,
        "show": shown,
        "approvers": "engineer",
        "expires": format_duration(PATIENCE),
        "on_deny": "continue",
        "on_timeout": "continue",
        "on_error": "continue",
    }
    try:
        return built(raw, plan_id(turn))
    except ToolUnknown:
        return None


def _line(number: int, call: Call, found: Made) -> str:
    """The step as it would be done, with what its author has fixed, and behind it the model's own words."""
    step = canonical_json({key: value for key, value in found.raw.items() if key != "type"}).decode()
    why = one_line(call.why, _LONGEST_WHY)
    return f"{number}. {call.tool} {plain_words(all_seen(step))}{f' (it says: “{why}”)' if why else ''}"


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


def built(raw: JsonObject, step_id: str) -> StepSpec:
    """A step of the box's own making. Raises ToolUnknown where it is none."""
    spec, issues = step_of(raw, step_id)
    if spec is None:
        raise ToolUnknown("; ".join(issue.message for issue in issues) or "this is no step")
    return spec
