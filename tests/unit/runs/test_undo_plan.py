"""What is taken back, in which order, follows from the definition and the rows alone."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from appliance.actions.contract import EffectClass
from appliance.runs.domain import ENDED_WITH_RUN, RunState, StepState
from appliance.runs.ending import ending_of
from appliance.runs.plan import Ambiguous, Next, Phase, Progress, StepRow, next_step, replay
from appliance.runs.scope import step_scope
from appliance.tasks.definition import TaskDefinition
from tests.definitions import task_of

TASK = """
- name: t
  trigger: manual
  actions:
    - {id: a, type: mqtt, topic: x/a, undo: {type: mqtt, topic: x/a-back}}
    - id: b
      type: mqtt
      topic: x/b
      undo:
        - {type: mqtt, topic: x/b-1}
        - {type: mqtt, topic: x/b-2}
    - {id: c, type: mqtt, topic: x/c, safe_state: true}
    - {id: d, type: mqtt, topic: x/d}
  on_failure: undo
"""
PLACES = {name: place for place, name in enumerate(("a", "b", "c", "d", "b.undo", "b.undo-2", "a.undo"))}
LATER = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def task() -> TaskDefinition:
    return task_of(TASK)


def row(step: str, state: StepState = StepState.SUCCEEDED, attempt: int = 1, **more: Any) -> StepRow:
    values: dict[str, Any] = {
        "effect": EffectClass.UNSAFE,
        "output": f"out-{step}",
        "stderr": "",
        "error": "no" if state is StepState.FAILED else "",
        "checkpoint": None,
        "due_at": None,
        **more,
    }
    phase = Phase.UNDO if "." in step else Phase.ACTIONS
    return StepRow(step=step, attempt=attempt, position=PLACES[step], phase=phase, state=state, **values)


FAILED = [row("a"), row("b"), row("c"), row("d", StepState.FAILED)]


def following(task: TaskDefinition, rows: list[StepRow], asked: bool = False) -> str | None:
    progress = replay(task, rows)
    progress.undo_requested = asked
    found = next_step(task, progress)
    return f"?{found.step}" if isinstance(found, Ambiguous) else found.spec.id if found else None


def test_a_failed_run_is_undone_in_reverse_order_and_a_list_in_its_own(task: TaskDefinition) -> None:
    done: list[StepRow] = []
    for expected in ("b.undo", "b.undo-2", "a.undo"):
        assert following(task, [*FAILED, *done]) == expected
        done.append(row(expected))
    assert following(task, [*FAILED, *done]) is None


def test_an_undo_step_has_the_place_that_the_definition_gives_it(task: TaskDefinition) -> None:
    found = next_step(task, replay(task, FAILED))
    assert isinstance(found, Next)
    assert (found.position, found.phase) == (PLACES["b.undo"], Phase.UNDO)


def test_a_run_that_nobody_asked_to_undo_is_not_undone(task: TaskDefinition) -> None:
    rows = [row(name) for name in "abcd"]
    assert following(task, rows) is None
    assert following(task, rows, asked=True) == "b.undo"


@pytest.mark.parametrize("state", [StepState.SKIPPED, StepState.FAILED])
def test_what_took_no_effect_is_not_undone(task: TaskDefinition, state: StepState) -> None:
    assert following(task, [row("a"), row("b", state)], asked=True) == "a.undo"


@pytest.mark.parametrize("state", [StepState.AMBIGUOUS, StepState.INTENT])
@pytest.mark.parametrize("effect", [EffectClass.UNSAFE, EffectClass.KEYED, EffectClass.IDEMPOTENT])
def test_a_step_of_which_nobody_knows_is_asked_about(
    task: TaskDefinition, state: StepState, effect: EffectClass
) -> None:
    assert following(task, [row("a"), row("b", state, effect=effect)], asked=True) == "?b"


def test_a_step_that_was_cut_off_by_a_cancellation_is_asked_about_too(task: TaskDefinition) -> None:
    cut_off = row("b", StepState.FAILED, effect=EffectClass.IDEMPOTENT, error=ENDED_WITH_RUN)
    assert following(task, [row("a"), cut_off], asked=True) == "?b"


def test_an_unclear_step_without_undo_is_nobody_s_question(task: TaskDefinition) -> None:
    assert following(task, [row("a"), row("b"), row("c", StepState.AMBIGUOUS)], asked=True) == "b.undo"


def test_a_shared_step_is_left_to_the_run_that_performed_it(task: TaskDefinition) -> None:
    origin = UUID(int=5)
    rows = [row("a", shared_from=origin), row("b"), row("c", StepState.FAILED)]
    done = [row("b.undo"), row("b.undo-2")]
    assert following(task, rows) == "b.undo"
    assert following(task, [*rows, *done]) is None
    assert f"a: not undone here, run {origin} did it" in ending_of(task, replay(task, rows)).not_undone


def test_after_an_undo_that_failed_the_rest_of_its_list_is_left_and_the_other_steps_are_tried(
    task: TaskDefinition,
) -> None:
    rows = [*FAILED, row("b.undo", StepState.FAILED)]
    assert following(task, rows) == "a.undo"
    assert following(task, [*rows, row("a.undo")]) is None
    ending = ending_of(task, replay(task, [*rows, row("a.undo")]))
    assert (ending.state, ending.reason) == (RunState.FAILED, "step d: no; undo failed: b.undo: no")


def test_an_undo_with_a_retry_due_is_tried_again(task: TaskDefinition) -> None:
    found = next_step(task, replay(task, [*FAILED, row("b.undo", StepState.FAILED, due_at=LATER)]))
    assert isinstance(found, Next)
    assert (found.spec.id, found.attempt) == ("b.undo", 2)


def test_an_unsafe_undo_that_was_cut_off_is_asked_about_itself(task: TaskDefinition) -> None:
    assert following(task, [*FAILED, row("b.undo", StepState.INTENT)]) == "?b.undo"


def test_the_ending_says_what_still_stands(task: TaskDefinition) -> None:
    ending = ending_of(task, replay(task, [*FAILED, row("b.undo"), row("b.undo-2"), row("a.undo")]))
    assert ending.state is RunState.UNDONE
    assert ending.not_undone == ("c: not undone, it is a safe state",)
    asked = replay(task, [row(name) for name in "abcd"])
    asked.undo_requested = True
    assert "d: not undone, it has no undo" in ending_of(task, asked).not_undone


def test_an_undo_sees_the_output_of_its_own_step(task: TaskDefinition) -> None:
    progress: Progress = replay(task, FAILED)
    scope = step_scope({}, progress, {}, task.undo_steps[-1])
    assert task.undo_steps[-1].id == "a.undo"
    assert scope["output"] == "out-a"


def test_a_step_that_acts_is_asked_about_however_it_may_be_repeated() -> None:
    task = task_of(TASK.replace("topic: x/b\n", "topic: x/b\n      effect: pure\n"))
    cut_off = [row("a"), row("b", StepState.INTENT, effect=EffectClass.PURE)]
    progress = replay(task, cut_off)
    again = next_step(task, progress)
    assert isinstance(again, Next)
    assert (again.spec.id, again.attempt) == ("b", 1)
    progress.undo_requested = True
    assert next_step(task, progress) == Ambiguous("b", 1)
