"""The steps of an agent follow from its rows alone: equal rows give equal steps, more rows only add at the end."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.actions.contract import EffectClass
from appliance.actions.registry import registry
from appliance.agent.domain import Approvals, Asked, Budget, Call, Mode, TurnOutput
from appliance.agent.loop.growth import Growth, grown
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.runs.domain import StepState
from appliance.runs.plan import Ambiguous, Next, Phase, StepRow, next_step, replay
from appliance.safety.approvals.shown import LONGEST
from appliance.tasks.definition import StepSpec, TaskDefinition, define


def asked(mode: Mode = Mode.PROPOSE, **more: Any) -> Asked:
    tools: dict[str, JsonObject] = {"mqtt": {}, "shell": {}, "readings.last": {}}
    values: dict[str, Any] = {
        "goal": "x",
        "system": "",
        "tools": tools,
        "mode": mode,
        "approvals": Approvals.PLAN,
        "trust": frozenset(),
        "budget": Budget(50, 100_000, 600.0),
        "model": "",
        "work": "chat",
        "max_tokens": 500,
        "temperature": 0.2,
        "outside": False,
    }
    return Asked(**{**values, **more})


def row(step: str, state: StepState = StepState.SUCCEEDED, output: JsonValue = None) -> StepRow:
    return StepRow(step, 1, 0, Phase.ACTIONS, EffectClass.PURE, state, output, "", "", None, None)


def rows(*found: StepRow) -> dict[str, StepRow]:
    return {one.step: one for one in found}


def ids(steps: tuple[StepSpec, ...]) -> list[str]:
    return [step.id for step in steps]


STOP = Call("mqtt", {"topic": "pump/3", "payload": "off"}, "it is hot")
LAMP = Call("mqtt", {"topic": "lamp/3", "payload": "red"})
LOOK = Call("readings.last", {"topic": "plant/"})
REFUSED = Call("mqtt", {}, refused="no topic")


def turned(*calls: Call, **more: Any) -> JsonValue:
    return TurnOutput(calls=calls, **more).to_json()


def test_it_begins_with_one_turn_and_grows_by_what_that_gave() -> None:
    assert ids(grown(asked(), {})) == ["turn-1"]
    found = rows(row("turn-1", output=turned(LOOK, REFUSED, STOP)))
    assert ids(grown(asked(), found)) == ["turn-1", "call-1-1", "call-1-3", "turn-2"]
    done = rows(row("turn-1", output=turned(done=True, answer="x")))
    assert ids(grown(asked(), done)) == ["turn-1", "answer"]


def test_several_changes_are_asked_about_before_any_and_not_done_where_that_was_denied() -> None:
    found = rows(row("turn-1", output=turned(STOP, LAMP)))
    assert ids(grown(asked(), found)) == ["turn-1", "plan-1"]
    denied = {**found, **rows(row("plan-1", output={"approved": False}))}
    assert ids(grown(asked(), denied)) == ["turn-1", "plan-1", "turn-2"]
    approved = {**found, **rows(row("plan-1", output={"approved": True}))}
    steps = grown(asked(), approved)
    assert ids(steps) == ["turn-1", "plan-1", "call-1-1", "call-1-2", "turn-2"]
    assert {step.proposed.plan for step in steps if step.type == "mqtt" and step.proposed} == {"plan-1"}


def test_each_mode_says_of_a_change_what_is_to_be_kept_of_it() -> None:
    found = rows(row("turn-1", output=turned(STOP, outside=False)))

    def proposal(mode: Mode, **more: Any) -> Any:
        return grown(asked(mode, **more), found)[1].proposed

    assert proposal(Mode.PROPOSE).word.startswith("an agent proposes this")
    assert proposal(Mode.ACT).word == ""
    assert proposal(Mode.SHADOW).held_back
    outside = rows(row("turn-1", output=turned(STOP, outside=True)))
    assert grown(asked(Mode.ACT), outside)[1].proposed.word  # type: ignore[union-attr]
    trusted = asked(Mode.ACT, trust=frozenset({"mqtt"}))
    assert grown(trusted, outside)[1].proposed.word == ""  # type: ignore[union-attr]


CALLS = st.lists(st.sampled_from([STOP, LAMP, LOOK, REFUSED]), max_size=4)
MODES = st.sampled_from([Mode.PROPOSE, Mode.ACT, Mode.SHADOW])


def task(steps: tuple[StepSpec, ...]) -> TaskDefinition:
    made, _ = define({"name": "t", "trigger": "manual", "actions": [{"type": "set", "value": 1}]})
    assert made is not None
    return made.model_copy(update={"actions": steps})


@given(st.lists(CALLS, min_size=1, max_size=4), MODES, st.lists(st.booleans(), min_size=20, max_size=20))
def test_whatever_its_turns_give_it_only_grows_at_its_end_and_comes_to_an_answer(
    turns: list[list[Call]], mode: Mode, luck: list[bool]
) -> None:
    given, found, before = asked(mode), list[StepRow](), list[str]()
    remembers = Growth(given)
    lucks, outputs = iter(luck * 10), iter(turns)
    for _ in range(100):
        steps = grown(given, rows(*found))
        assert [step.model_dump() for step in steps] == [
            step.model_dump() for step in remembers.steps(rows(*found))
        ], "what is remembered of earlier rows decides nothing"
        assert ids(steps)[: len(before)] == before, "what was there before stays where it was"
        following = next_step(task(steps), replay(task(steps), found))
        if following is None:
            assert ids(steps)[-1] == "answer"
            return
        assert isinstance(following, Next)
        spec = following.spec
        before = ids(steps)
        if spec.type == "agent_turn":
            calls = next(outputs, None)
            output = turned(done=True, answer="x") if calls is None else turned(*calls)
            found.append(row(spec.id, output=output))
        elif spec.type == "agent_plan":
            found.append(row(spec.id, output={"approved": next(lucks)}))
        else:
            found.append(row(spec.id, StepState.SUCCEEDED if next(lucks) else StepState.FAILED))
    raise AssertionError("it never ended")


WORDS = st.text(st.sampled_from("{%#} ax\n\u202e"), max_size=12)


@given(WORDS, WORDS)
def test_no_word_of_a_model_is_read_as_a_template_or_breaks_a_line(say: str, why: str) -> None:
    calls = [Call("mqtt", {"topic": "a", "payload": one}, f"{{{{ vars.pin }}}} {why}") for one in "12"]
    plan = grown(asked(), rows(row("turn-1", output=turned(*calls, say=f"{{{{{{ vars.pin }}}} {say}"))))[1]
    arguments = registry()["agent_plan"].arguments(plan.params, {})
    shown = "\n".join([str(arguments["question"]), *map(str, arguments["show"])])  # type: ignore[arg-type]
    assert "vars.pin" in shown
    assert len(shown.splitlines()) == 3
    assert "\u202e" not in shown


@pytest.mark.parametrize(("size", "asks"), [(1_300, "plan-1"), (3_000, "plan-1"), (3_400, "call-1-1")])
def test_a_plan_that_would_not_be_shown_whole_is_asked_about_call_by_call(size: int, asks: str) -> None:
    calls = [Call("mqtt", {"topic": "a", "payload": "x" * size}), LAMP]
    step = grown(asked(), rows(row("turn-1", output=turned(*calls, say="{%" * 1_000))))[1]
    assert step.id == asks
    if asks == "plan-1":
        arguments = registry()["agent_plan"].arguments(step.params, {})
        lines = [str(arguments["question"]), *map(str, arguments["show"])]  # type: ignore[arg-type]
        assert len("\n".join(lines)) < LONGEST


def test_a_plan_shows_what_its_author_has_fixed() -> None:
    given = asked(tools={"mqtt": {"topic": "plant/valve7"}})
    calls = [Call("mqtt", {"payload": "open"}), Call("mqtt", {"payload": "shut"})]
    plan = grown(given, rows(row("turn-1", output=turned(*calls))))[1]
    assert "1. mqtt (topic: plant/valve7, payload: open)" in str(plan.params)


def test_what_only_reads_is_done_though_the_plan_beside_it_was_denied() -> None:
    found = rows(row("turn-1", output=turned(LOOK, STOP, LAMP)), row("plan-1", output={"approved": False}))
    assert ids(grown(asked(), found)) == ["turn-1", "plan-1", "call-1-1", "turn-2"]


def test_commands_alone_make_no_plan_for_each_asks_with_the_programs_that_it_runs() -> None:
    stop, start = (Call("shell", {"command": f"systemctl {word} x"}) for word in ("stop", "start"))
    found = rows(row("turn-1", output=turned(stop, start)))
    assert ids(grown(asked(), found)) == ["turn-1", "call-1-1", "call-1-2", "turn-2"]


@pytest.mark.parametrize(
    ("state", "effect", "checkpoint", "asks"),
    [
        (StepState.WAITING, EffectClass.IDEMPOTENT, None, False),
        (StepState.WAITING, EffectClass.UNSAFE, {"away": 2}, False),
        (StepState.INTENT, EffectClass.PURE, None, False),
        (StepState.INTENT, EffectClass.IDEMPOTENT, None, True),
        (StepState.INTENT, EffectClass.UNSAFE, None, True),
        (StepState.WAITING, EffectClass.PURE, {"child": "x"}, True),
    ],
)
def test_a_call_on_record_that_this_version_refuses_fails_or_is_asked_about(
    state: StepState, effect: EffectClass, checkpoint: JsonObject | None, asks: bool
) -> None:
    gone = Call("mqtt", {"topic": "a", "colour": "red"})
    output = row("turn-1", output=turned(gone, STOP))
    given = asked(Mode.ACT)
    assert ids(grown(given, rows(output))) == ["turn-1", "call-1-2", "turn-2"], "nothing of it is there yet"
    known = replace(row("call-1-1", state), effect=effect, checkpoint=checkpoint)
    steps = grown(given, rows(output, known))
    assert ids(steps) == ["turn-1", "call-1-1", "call-1-2", "turn-2"]
    assert "colour" in steps[1].proposed.gone  # type: ignore[union-attr]
    following = next_step(task(steps), replay(task(steps), [output, known]))
    assert isinstance(following, Ambiguous if asks else Next)


def test_who_goes_on_with_an_agent_that_ended_by_itself_asks_the_turns_again_that_called_nothing() -> None:
    def at(*outputs: JsonValue, more: tuple[StepRow, ...] = ()) -> str:
        turns = [row(f"turn-{number}", output=one) for number, one in enumerate(outputs, 1)]
        return Growth(asked()).resumes_at(rows(*turns, *more))

    answer = (row("answer", StepState.FAILED),)
    idle, ended = turned(REFUSED), turned(ended="it made no progress")
    assert at(turned(LOOK), idle, ended) == "", "it stopped before its answer: it goes on where it stopped"
    assert at(turned(LOOK), idle, idle, ended, more=answer) == "turn-2"
    assert at(turned(LOOK), turned(LOOK), ended, more=answer) == "turn-3"
    assert at(idle, ended, more=answer) == "turn-1"


def test_who_has_read_outside_asks_before_it_sends_to_an_address_of_its_own() -> None:
    def word(outside: bool, fixed: JsonObject, arguments: JsonObject, trust: frozenset[str]) -> str:
        given = asked(Mode.ACT, tools={"http_get": fixed}, trust=trust)
        found = rows(row("turn-1", output=turned(Call("http_get", arguments), outside=outside)))
        return grown(given, found)[1].proposed.word  # type: ignore[union-attr]

    here: JsonObject = {"url": "https://example.com/?d=82"}
    nobody = frozenset[str]()
    assert "what it has read outside" in word(True, {}, here, nobody)
    assert word(False, {}, here, nobody) == ""
    assert word(True, here, {}, nobody) == ""
    assert word(True, {}, here, frozenset({"http_get"})) == ""


PROPOSED = Call(
    "task_propose", {"task": "- name: x\n  trigger: manual\n  actions: [{type: set, value: '{{ now }}'}]"}
)


@pytest.mark.parametrize("mode", [Mode.PROPOSE, Mode.ACT, Mode.SHADOW])
def test_what_a_person_decides_on_afterwards_is_asked_about_by_nobody_before(mode: Mode) -> None:
    given = asked(mode, tools={"task_propose": {}})
    steps = grown(given, rows(row("turn-1", output=turned(PROPOSED, PROPOSED, outside=True))))
    calls = [one.proposed for one in steps if one.type == "agent_propose"]
    assert [(one.word, one.held_back) for one in calls if one] == [("", mode is Mode.SHADOW)] * 2


def test_a_command_that_reads_is_a_read_only_with_the_programs_that_lie_there() -> None:
    read = Call("shell", {"command": "cat /var/log/syslog"})

    def proposal(mode: Mode, **more: Any) -> tuple[bool, str, bool]:
        steps = grown(asked(mode), rows(row("turn-1", output=turned(read, **more))))
        (found,) = [one.proposed for one in steps if one.type == "shell"]
        assert found is not None
        return bool(found.word), found.unless_read, found.must_read

    assert proposal(Mode.PROPOSE) == (False, "an agent proposes this", False)
    assert proposal(Mode.ACT, outside=False) == (False, "", False)
    assert proposal(Mode.ACT, outside=True)[1].startswith("an agent that has read")
    assert proposal(Mode.WATCH)[2]
    assert proposal(Mode.SHADOW)[2]
