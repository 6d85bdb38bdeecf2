"""Where an ended run may go on, what is shared, and what would be done twice."""

from typing import Any

import pytest

from appliance.actions.contract import EffectClass
from appliance.runs.domain import ENDED_WITH_RUN, StepState
from appliance.runs.fork import ForkRefused, fork_at
from appliance.runs.plan import Phase, StepRow
from appliance.tasks.definition import TaskDefinition
from tests.definitions import task_of

TASK = """
- name: t
  trigger: manual
  actions:
    - {id: a, type: set, value: 1}
    - {id: b, type: mqtt, topic: x/b, undo: {type: mqtt, topic: x/b-back}}
    - {id: c, type: set, value: 3, on_error: continue}
    - {id: d, type: set, value: 4}
  on_failure:
    - {id: e, type: set, value: 5}
"""
PLACES = {name: place for place, name in enumerate(("a", "b", "c", "d", "e", "b.undo"))}


@pytest.fixture(scope="module")
def task() -> TaskDefinition:
    return task_of(TASK)


def row(step: str, state: StepState = StepState.SUCCEEDED, attempt: int = 1, **more: Any) -> StepRow:
    values: dict[str, Any] = {
        "effect": EffectClass.IDEMPOTENT,
        "output": None,
        "stderr": "",
        "error": "",
        "checkpoint": None,
        "due_at": None,
        **more,
    }
    phase = Phase.UNDO if "." in step else Phase.ON_FAILURE if step == "e" else Phase.ACTIONS
    return StepRow(step=step, attempt=attempt, position=PLACES[step], phase=phase, state=state, **values)


ALL = [row(name) for name in "abcd"]


def shared(task: TaskDefinition, rows: list[StepRow], step: str = "") -> tuple[str, list[str]]:
    fork = fork_at(task, rows, step)
    return fork.step, [one.step for one in fork.shared]


@pytest.mark.parametrize(("count", "at"), [(0, "a"), (1, "b"), (2, "c"), (3, "d")])
def test_a_run_goes_on_where_it_stopped_and_shares_what_is_done(
    task: TaskDefinition, count: int, at: str
) -> None:
    assert shared(task, ALL[:count]) == (at, list("abcd")[:count])


@pytest.mark.parametrize(
    "state", [StepState.FAILED, StepState.AMBIGUOUS, StepState.INTENT, StepState.WAITING]
)
def test_the_step_that_did_not_end_well_is_the_one_to_go_on_from(
    task: TaskDefinition, state: StepState
) -> None:
    assert shared(task, [row("a"), row("b", state), row("e")]) == ("b", ["a"])


def test_a_failure_that_the_author_tolerates_is_shared_and_one_cut_off_is_not(task: TaskDefinition) -> None:
    assert shared(task, [*ALL[:2], row("c", StepState.FAILED, error="oh")]) == ("d", ["a", "b", "c"])
    cut_off = row("c", StepState.FAILED, error=ENDED_WITH_RUN)
    assert shared(task, [*ALL[:2], cut_off]) == ("c", ["a", "b"])


def test_any_step_that_was_reached_can_be_named(task: TaskDefinition) -> None:
    for index, name in enumerate("abcd"):
        assert shared(task, ALL, name) == (name, list("abcd")[:index])


def test_only_the_last_attempt_of_a_step_is_shared(task: TaskDefinition) -> None:
    rows = [row("a"), row("b", StepState.FAILED), row("b", attempt=2)]
    assert [(one.step, one.attempt) for one in fork_at(task, rows, "c").shared] == [("a", 1), ("b", 2)]


@pytest.mark.parametrize(
    ("rows", "step", "said"),
    [
        (ALL, "", "every step of this run is done"),
        (ALL[:1], "c", "step c was never reached: the run stopped at b"),
        (ALL, "e", "no action 'e'"),
        (ALL, "zz", "no action 'zz'"),
        ([*ALL, row("b.undo")], "d", "step b was undone"),
        ([*ALL, row("b.undo", StepState.FAILED)], "c", "step b was undone"),
    ],
)
def test_a_fork_that_cannot_be_is_refused_with_its_reason(
    task: TaskDefinition, rows: list[StepRow], step: str, said: str
) -> None:
    with pytest.raises(ForkRefused, match=said):
        fork_at(task, rows, step)


def test_an_undone_step_can_be_done_again(task: TaskDefinition) -> None:
    assert shared(task, [*ALL, row("b.undo")], "b") == ("b", ["a"])


@pytest.mark.parametrize("effect", list(EffectClass))
@pytest.mark.parametrize("state", list(StepState))
def test_what_took_effect_or_may_have_is_named_unless_repeating_it_is_harmless(
    task: TaskDefinition, effect: EffectClass, state: StepState
) -> None:
    harmless = effect in (EffectClass.PURE, EffectClass.IDEMPOTENT)
    known = state in (StepState.SKIPPED, StepState.FAILED, StepState.WAITING)
    fork = fork_at(task, [row("a"), row("b", state, effect=effect)], "b")
    assert fork.repeats == (() if harmless or known else ("b",))


def test_an_earlier_attempt_that_may_have_happened_counts_too(task: TaskDefinition) -> None:
    rows = [
        row("a"),
        row("b", StepState.AMBIGUOUS, effect=EffectClass.UNSAFE),
        row("b", StepState.FAILED, attempt=2, effect=EffectClass.UNSAFE),
    ]
    assert fork_at(task, rows, "b").repeats == ("b",)


def test_what_comes_before_is_not_repeated(task: TaskDefinition) -> None:
    rows = [row("a"), row("b", effect=EffectClass.UNSAFE), row("c", effect=EffectClass.KEYED)]
    assert fork_at(task, rows, "d").repeats == ()
    assert fork_at(task, rows, "a").repeats == ("b", "c")
