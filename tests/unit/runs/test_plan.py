"""What a run does next follows from its definition and the rows of its steps alone."""

from datetime import UTC, datetime
from typing import Any

import pytest

from appliance.actions.contract import EffectClass
from appliance.runs.domain import Recovery, StepState, recovery_of
from appliance.runs.plan import Ambiguous, Next, Phase, Progress, StepRow, next_step, replay
from appliance.tasks.definition import TaskDefinition
from tests.definitions import task_of

LATER = datetime(2026, 1, 1, tzinfo=UTC)

TASK = """
- name: t
  trigger: manual
  actions:
    - {id: a, type: set, value: 1}
    - {id: b, type: set, value: 2, retry: {attempts: 3, delay: 10s}}
    - {id: c, type: set, value: 3, on_error: continue}
    - {id: d, type: set, value: 4}
  on_failure:
    - {id: e, type: set, value: 5}
    - {id: f, type: set, value: 6}
"""
POSITIONS = {name: index for index, name in enumerate("abcdef")}


@pytest.fixture(scope="module")
def task() -> TaskDefinition:
    return task_of(TASK)


def row(step: str, state: StepState, attempt: int = 1, **more: Any) -> StepRow:
    position = POSITIONS[step]
    values: dict[str, Any] = {
        "effect": EffectClass.UNSAFE,
        "output": f"out-{step}",
        "stderr": "",
        "error": "",
        "checkpoint": None,
        "due_at": None,
        **more,
    }
    phase = Phase.ACTIONS if position < 4 else Phase.ON_FAILURE
    return StepRow(step=step, attempt=attempt, position=position, phase=phase, state=state, **values)


def done(*steps: str) -> list[StepRow]:
    return [row(step, StepState.SUCCEEDED) for step in steps]


def following(task: TaskDefinition, rows: list[StepRow]) -> Next | Ambiguous | None:
    return next_step(task, replay(task, rows))


def at(found: Next | Ambiguous | None) -> tuple[str, int]:
    assert isinstance(found, Next)
    return found.spec.id, found.attempt


def test_a_fresh_run_begins_with_its_first_action(task: TaskDefinition) -> None:
    assert at(following(task, [])) == ("a", 1)


def test_a_finished_step_is_never_performed_again(task: TaskDefinition) -> None:
    for count in range(4):
        assert at(following(task, done(*"abcd"[:count]))) == ("abcd"[count], 1)


def test_a_run_whose_actions_are_done_has_nothing_left_and_skips_on_failure(task: TaskDefinition) -> None:
    assert following(task, done(*"abcd")) is None


@pytest.mark.parametrize("state", [StepState.SKIPPED, StepState.HANDED_OVER])
def test_skipped_and_handed_over_steps_count_as_done(task: TaskDefinition, state: StepState) -> None:
    assert at(following(task, [row("a", state)])) == ("b", 1)


def test_a_skipped_step_leaves_the_output_of_the_step_before(task: TaskDefinition) -> None:
    progress = replay(task, [*done("a"), row("b", StepState.SKIPPED, output=None)])
    assert (progress.output, progress.outputs) == ("out-a", {"a": "out-a"})


def test_a_failed_step_with_a_retry_due_is_tried_again_as_the_next_attempt(task: TaskDefinition) -> None:
    rows = [*done("a"), row("b", StepState.FAILED, due_at=LATER)]
    assert at(following(task, rows)) == ("b", 2)
    rows.append(row("b", StepState.FAILED, attempt=2, due_at=LATER))
    assert at(following(task, rows)) == ("b", 3)


def test_a_step_that_failed_for_good_leads_to_on_failure_and_not_to_the_next_action(
    task: TaskDefinition,
) -> None:
    rows = [*done("a"), row("b", StepState.FAILED, error="no")]
    assert at(following(task, rows)) == ("e", 1)
    assert replay(task, rows).failure == "step b: no"
    assert following(task, [*rows, *done("e", "f")]) is None


def test_a_failing_on_failure_step_does_not_stop_the_ones_after_it(task: TaskDefinition) -> None:
    rows = [row("a", StepState.FAILED, error="no"), row("e", StepState.FAILED, error="neither")]
    progress = replay(task, rows)
    assert at(next_step(task, progress)) == ("f", 1)
    assert progress.failure == "step a: no"
    assert progress.warnings == ["e (on_failure): neither"]


def test_on_error_continue_goes_on_and_says_so(task: TaskDefinition) -> None:
    progress = replay(task, [*done("a", "b"), row("c", StepState.FAILED, error="oh")])
    assert at(next_step(task, progress)) == ("d", 1)
    assert (progress.failure, progress.warnings) == ("", ["c: oh"])


def test_only_the_last_attempt_counts(task: TaskDefinition) -> None:
    rows = [*done("a"), row("b", StepState.FAILED, due_at=LATER), row("b", StepState.SUCCEEDED, attempt=2)]
    assert at(following(task, rows)) == ("c", 1)


def test_an_unsafe_intent_without_a_result_is_never_performed_again_by_itself(task: TaskDefinition) -> None:
    assert following(task, [row("a", StepState.INTENT)]) == Ambiguous("a", 1)


@pytest.mark.parametrize("effect", [EffectClass.PURE, EffectClass.IDEMPOTENT, EffectClass.KEYED])
def test_a_repeatable_intent_without_a_result_is_performed_again_as_the_same_attempt(
    task: TaskDefinition, effect: EffectClass
) -> None:
    rows = [*done("a"), row("b", StepState.INTENT, attempt=2, effect=effect, checkpoint={"k": 1})]
    found = following(task, rows)
    assert isinstance(found, Next)
    assert (found.spec.id, found.attempt, found.resumed_from) == ("b", 2, {"k": 1})


@pytest.mark.parametrize("effect", list(EffectClass))
def test_only_unsafe_effects_ask(effect: EffectClass) -> None:
    assert recovery_of(effect) is (Recovery.ASK if effect is EffectClass.UNSAFE else Recovery.AGAIN)


def test_an_ambiguous_step_stays_ambiguous_whatever_its_effect(task: TaskDefinition) -> None:
    found = following(task, [row("a", StepState.AMBIGUOUS, effect=EffectClass.PURE)])
    assert found == Ambiguous("a", 1)


def test_a_waiting_step_goes_on_from_its_checkpoint(task: TaskDefinition) -> None:
    found = following(task, [row("a", StepState.WAITING, checkpoint={"due": "x"})])
    assert isinstance(found, Next)
    assert (found.attempt, found.resumed_from) == (1, {"due": "x"})


def test_a_step_that_wrote_to_standard_error_shows_it(task: TaskDefinition) -> None:
    assert replay(task, [row("a", StepState.SUCCEEDED, stderr="tail: no file\n")]).warnings == [
        "a: tail: no file"
    ]


def test_a_delivery_that_failed_later_makes_the_run_fail(task: TaskDefinition) -> None:
    """The receipt turned ``handed_over`` of a middle step to ``failed`` while later steps went on."""
    rows = [*done("a"), row("b", StepState.FAILED, error="chat not found"), *done("c", "d")]
    assert at(following(task, rows)) == ("e", 1)


def test_replaying_is_the_same_as_having_lived_it(task: TaskDefinition) -> None:
    rows = [*done("a", "b"), row("c", StepState.FAILED, error="oh")]
    lived = Progress()
    for one in rows:
        lived.take(one)
    replayed = replay(task, rows)
    assert (lived.outputs, lived.output) == (replayed.outputs, replayed.output)
