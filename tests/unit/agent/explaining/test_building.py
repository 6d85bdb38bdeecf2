"""What people read of an agent follows from its rows."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from appliance.agent.domain import Call, TurnOutput
from appliance.agent.explaining.building import CUT_OFF, NOT_BEGUN, view_of
from appliance.agent.explaining.domain import AgentView, Stays, Undo
from appliance.agent.explaining.rows import AgentRows, StepSeenRow, WaysBack
from appliance.agent.loop.story import Fate
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.runs.models import Run
from appliance.safety.approvals.models import Approval

AT = datetime(2026, 3, 1, tzinfo=UTC)
OWN, AROUND = UUID(int=1), UUID(int=2)
ASKED: JsonObject = {
    "goal": "Why is pump 3 hot?",
    "tools": {"mqtt": {}, "readings.last": {}},
    "mode": "propose",
    "budget": {"steps": 8, "tokens": 1000, "time": 60},
    "outside": False,
    "system_outside": False,
    "undo": {"mqtt": {"payload": "on"}},
}
STOP = Call("mqtt", {"topic": "pump/3", "payload": "off"}, "it is hot")
LOOK = Call("readings.last", {"topic": "plant/"})
LAMP = Call("http", {"url": "https://example.com"}, refused="there is no tool 'http' here")


def step(name: str, state: str = "succeeded", output: JsonValue = None, **more: Any) -> StepSeenRow:
    values: dict[str, Any] = {
        "step": name,
        "attempt": 1,
        "kind": "mqtt",
        "effect": "idempotent",
        "phase": "actions",
        "state": state,
        "output": output,
        "detail": {},
        "error": "",
        "stderr": "",
        "due": False,
        "seconds": 2.0,
        "finished_at": AT + timedelta(seconds=2),
    }
    return StepSeenRow(**{**values, **more})


def turn(number: int, *calls: Call, **more: Any) -> StepSeenRow:
    output = TurnOutput(say="I look.", calls=calls, tokens=100, outside=False, **more).to_json()
    detail: JsonObject = {"model": "tiny@1", "digest": "d" * 64, "seconds": 0.5, "asked": 1, "tokens": 100}
    return step(f"turn-{number}", output=output, kind="agent_turn", effect="pure", detail=detail)


def seen(
    *steps: StepSeenRow,
    state: str = "running",
    around: str = "waiting",
    asked: Mapping[str, Any] = ASKED,
    approvals: tuple[Approval, ...] = (),
    back: WaysBack | None = None,
    **run: Any,
) -> AgentView:
    inputs = {"asked": dict(asked), "shard": {"step": "think"}, **run.pop("inputs", {})}
    own = Run(pk=OWN, split_id=UUID(int=3), parent_run_id=AROUND, state=state, inputs=inputs, **run)
    rows = AgentRows(own, Run(pk=AROUND, state=around), "think", 1, steps, approvals, {}, back)
    return view_of(rows)


def test_before_its_first_answer_the_model_thinks() -> None:
    view = seen()
    assert [(one.number, one.state) for one in view.turns] == [(1, "running")]
    assert not view.ended


def test_a_turn_says_what_it_called_what_came_of_it_and_what_it_cost() -> None:
    view = seen(turn(1, LOOK, LAMP), step("call-1-1", output="83 degrees", kind="agent_query", effect="pure"))
    first, following = view.turns
    assert [(call.fate, call.said) for call in first.calls] == [
        (Fate.DONE, "83 degrees"),
        (Fate.REFUSED, "there is no tool 'http' here"),
    ]
    assert [call.from_outside for call in first.calls] == [True, False]
    assert (first.model, first.tokens, first.seconds, first.asked) == ("tiny@1", 100, 0.5, 1)
    assert (following.number, following.state) == (2, "running")
    assert (view.cost.steps, view.cost.of_steps, view.cost.tokens) == (2, 8, 100)


def test_while_a_call_waits_for_a_person_no_next_turn_is_under_way() -> None:
    asked = Approval(
        pk=UUID(int=9), run_id=OWN, step="call-1-1", state="open", rule="box/default@1", needed=1,
        reason="an agent proposes this", created_at=AT, expires_at=AT, names=[],
    )  # fmt: skip
    waits = step("call-1-1", state="waiting", finished_at=None, seconds=0.0)
    view = seen(turn(1, STOP), waits, state="waiting", waiting_for="approval", approvals=(asked,))
    (only,) = view.turns
    assert only.calls[0].waits
    assert view.open_words == (UUID(int=9),)


def test_what_was_held_back_has_the_gates_verdict() -> None:
    held = step(
        "call-1-1", state="skipped", detail={"held_back": True, "verdict": "ask", "because": "a rule"}
    )
    (call,) = seen(turn(1, STOP), held, state="succeeded", around="succeeded").turns[0].calls
    assert (call.fate, call.verdict, call.because, call.undo) == (
        Fate.HELD_BACK,
        "ask",
        "a rule",
        Undo.NOTHING,
    )


def test_attempts_that_gave_nothing_are_told_and_counted() -> None:
    tries = [
        step(
            "turn-1",
            "failed",
            kind="agent_turn",
            effect="pure",
            error="busy",
            detail={"tokens": 40},
            due=True,
        ),
        step(
            "turn-1",
            "failed",
            kind="agent_turn",
            effect="pure",
            error="busy",
            attempt=2,
            detail={"tokens": 2},
        ),
    ]
    view = seen(*tries, state="failed", around="failed", reason="step turn-1: busy")
    assert [(one.state, one.failures, one.tokens) for one in view.turns] == [("failed", ("busy", "busy"), 42)]
    assert view.cost.tokens == 42


def test_where_nothing_came_back_nothing_is_shown() -> None:
    (call,) = seen(turn(1, STOP), step("call-1-1"), state="succeeded", around="succeeded").turns[0].calls
    assert (call.fate, call.said, call.from_outside) == (Fate.DONE, "", False)


def test_only_what_took_effect_and_says_how_can_be_taken_back_and_only_when_all_has_ended() -> None:
    steps = (
        turn(1, STOP, LOOK),
        step("call-1-1"),
        step("call-1-2", kind="agent_query", effect="pure"),
        turn(2, STOP, STOP),
        step("call-2-1", state="failed", error="no"),
        step("call-2-2"),
        turn(3, done=True, answer="Done."),
        step("answer", output="Done.", kind="agent_answer", effect="pure"),
    )
    back = WaysBack(frozenset({"call-1-1", "call-2-2"}))
    view = seen(*steps, state="succeeded", around="succeeded", back=back)
    assert view.may_undo
    assert view.undoable == ("call-2-2", "call-1-1")
    assert view.turns[0].undoable == ("call-1-1",)
    assert not seen(*steps, state="succeeded", around="running").may_undo
    none = WaysBack(frozenset())
    without = seen(*steps, state="succeeded", around="succeeded", asked={**ASKED, "undo": {}}, back=none)
    assert (without.undoable, without.stays) == ((), ("call-1-1", "call-2-2"))
    after = seen(*steps, state="succeeded", around="succeeded", back=WaysBack(none.steps, goes_on=AROUND))
    assert (after.may_undo, after.goes_on) == (False, AROUND)


def stays(row: StepSeenRow, back: WaysBack, asked: Mapping[str, Any] = ASKED) -> tuple[Undo, Stays | None]:
    view = seen(turn(1, STOP), row, state="succeeded", around="succeeded", back=back, asked=asked)
    assert view.undoable == ()
    (call,) = view.calls
    return call.undo, call.back.stays


def test_what_the_engine_would_not_take_back_says_why() -> None:
    none = WaysBack(frozenset())
    assert stays(step("call-1-1"), none, {**ASKED, "undo": {}}) == (Undo.NONE, Stays.NO_WAY)
    assert stays(step("call-1-1"), WaysBack(frozenset(), safe_state=True)) == (Undo.NONE, Stays.SAFE_STATE)
    assert stays(step("call-1-1", shared_from=AROUND), none) == (Undo.NONE, Stays.ELSEWHERE)
    assert stays(step("call-1-1"), none) == (Undo.NONE, Stays.DOES_NOT_FIT)


def test_what_people_have_to_accept_first_is_the_boxs_word_and_is_not_taken_back() -> None:
    note = Call("notes.propose", {"text": "Pump 3 is new."})
    said = step("call-1-1", output="proposed as note 1; a person has to accept it", kind="agent_note")
    (call,) = seen(turn(1, note), said, state="succeeded", around="succeeded").calls
    assert (call.undo, call.from_outside, call.said[:8]) == (Undo.NOTHING, False, "proposed")


def word(name: str, state: str) -> Approval:
    return Approval(
        pk=UUID(int=9), run_id=OWN, step=name, state=state, rule="box/default@1", needed=1,
        reason="an agent proposes this", created_at=AT, expires_at=AT, names=[],
    )  # fmt: skip


def fate(
    *steps: StepSeenRow, state: str = "cancelled", approvals: tuple[Approval, ...] = ()
) -> tuple[Fate, str]:
    view = seen(turn(1, STOP), *steps, state=state, around=state, approvals=approvals)
    return view.calls[0].fate, view.calls[0].said


def test_what_was_under_way_when_its_run_ended_was_denied_by_nobody() -> None:
    ended = {"error": "ended with its run"}
    plan = step("plan-1", "failed", kind="agent_plan", **ended)
    assert fate(plan) == (Fate.CANCELLED, "the run was ended before anybody decided: nothing was done")
    assert fate() == (Fate.CANCELLED, NOT_BEGUN)
    asked = (word("call-1-1", "void"),)
    assert fate(step("call-1-1", "failed", **ended), approvals=asked) == (Fate.CANCELLED, NOT_BEGUN)
    assert fate(step("call-1-1", "failed", **ended)) == (Fate.CANCELLED, CUT_OFF)


def test_nobody_is_asked_any_more_when_its_run_has_ended() -> None:
    asked = (word("call-1-1", "open"),)
    row = step("call-1-1", "failed", error="ended with its run")
    view = seen(turn(1, STOP), row, state="cancelled", around="cancelled", approvals=asked)
    assert (view.open_words, view.calls[0].waits, view.calls[0].words[0].state) == ((), False, "void")


def test_nobodys_answer_is_no_denial() -> None:
    silence: JsonObject = {"approved": False, "by": "", "reason": "nobody decided within 30m", "at": None}
    no: JsonObject = {**silence, "by": "anna", "reason": "not now"}
    assert fate(step("plan-1", output=silence), state="succeeded") == (
        Fate.LAPSED,
        "nobody decided within 30m",
    )
    assert fate(step("plan-1", output=no), state="succeeded")[0] is Fate.DENIED
    gate = {"gate": "approval.refused"}
    alone = step("call-1-1", "failed", error="nobody decided within 30m", detail=gate)
    assert fate(alone, state="succeeded")[0] is Fate.LAPSED
    assert fate(step("call-1-1", "failed", error="denied by anna", detail=gate), state="succeeded")[0] is (
        Fate.DENIED
    )


def test_what_has_been_taken_back_says_so() -> None:
    steps = (turn(1, STOP), step("call-1-1"))
    taken = seen(*steps, step("call-1-1.undo", phase="undo"), state="undone", around="succeeded")
    assert taken.turns[0].calls[0].undo is Undo.DONE
    failed = seen(*steps, step("call-1-1.undo", "failed", phase="undo", error="away"), state="failed")
    assert (failed.turns[0].calls[0].undo, failed.turns[0].calls[0].back.said) == (Undo.FAILED, "away")
    asked = {"taken_back": ["call-1-1"]}
    under_way = seen(*steps, state="queued", around="succeeded", undo_requested=True, inputs=asked)
    assert under_way.turns[0].calls[0].undo is Undo.UNDER_WAY
    assert (under_way.ended, under_way.live) == (True, True), "its work is over, and its page still moves"


def test_taking_back_that_waits_for_a_person_has_the_question() -> None:
    waits = step("call-1-1.undo", "waiting", phase="undo", finished_at=None)
    view = seen(
        turn(1, STOP), step("call-1-1"), waits, state="waiting", around="succeeded", undo_requested=True,
        undo_by="user:ana", approvals=(word("call-1-1.undo", "open"),),
    )  # fmt: skip
    back = view.calls[0].back
    assert (back.undo, back.by, back.run_id, len(back.words)) == (Undo.WAITS, "user:ana", OWN, 1)


def test_the_answer_says_what_was_taken_back_since() -> None:
    did: JsonObject = {
        "did": [{"step": "call-1-1", "tool": "mqtt", "arguments": STOP.arguments, "fate": "done"}]
    }
    answer = step("answer", output="Stopped.", kind="agent_answer", effect="pure", detail=did)
    steps = (turn(1, STOP), step("call-1-1"), answer)
    before, since = (
        seen(*steps, state="succeeded").answer,
        seen(*steps, step("call-1-1.undo", phase="undo"), state="undone").answer,
    )
    assert before is not None
    assert since is not None
    assert "undo" not in before.did[0]
    assert (since.did[0]["undo"], since.did[0]["undo_run"]) == ("done", str(OWN))


def test_the_answer_has_its_lists_and_its_doubts() -> None:
    answer = step(
        "answer", output="Stopped.", kind="agent_answer", effect="pure", stderr="not everything was done",
        detail={"not_done": [{"tool": "mqtt", "arguments": {}, "fate": "failed"}]},
    )  # fmt: skip
    found = seen(turn(1, done=True, answer="Stopped."), answer, state="succeeded").answer
    assert found is not None
    assert (found.text, found.doubts, len(found.not_done)) == ("Stopped.", "not everything was done", 1)
