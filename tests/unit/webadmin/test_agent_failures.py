"""Why an agent failed is said once, in a person's words, with what to do about it."""

from typing import Any
from uuid import UUID

import pytest

from appliance.agent.domain import Asked
from appliance.agent.explaining.domain import AgentView, AnswerView, Cost, TurnView
from webadmin.agent_failures import failure_of

ASKED = Asked.of({"goal": "Why?", "tools": {}, "budget": {"steps": 8, "tokens": 1000, "time": 60}})


def view(state: str = "failed", reason: str = "", **more: Any) -> AgentView:
    values: dict[str, Any] = {
        "run_id": UUID(int=1), "task_run": UUID(int=2), "step": "think", "attempt": 1, "state": state,
        "waiting_for": "", "reason": reason, "principal": "user:ana", "asked": ASKED,
        "cost": Cost(0, 0, 0, 8, 1000, 60), "ended": state != "waiting",
    }  # fmt: skip
    return AgentView(**{**values, **more})


@pytest.mark.parametrize(
    ("reason", "what", "models"),
    [
        (
            "the model 'qwen' is not served on this box (manage.py models list)",
            "The model “qwen” is not",
            True,
        ),
        ("no model can answer this: nothing is served for this work", "No model could answer.", True),
        ("no model could answer in time: all are at work", "No model could answer.", True),
        ("it made no progress in 3 turns: it called nothing", "It did not get on: in 3 turns", False),
        (
            "its budget of 8 steps is used up, and it gave no answer",
            "Its budget (8 steps) was used up",
            False,
        ),
        ("denied, and nobody is there to ask: hands off", "What it wanted was not allowed", False),
        ("its row cannot be read", "It failed.", False),
    ],
)
def test_each_failure_has_a_sentence_and_a_model_that_is_missing_a_way_to_one(
    reason: str, what: str, models: bool
) -> None:
    turn = TurnView(1, "failed", failures=(reason, reason, reason))
    answer = AnswerView("failed", "", error=reason)
    found = failure_of(view(reason=f"step turn-1: {reason}", turns=(turn,), answer=answer))
    assert found is not None
    assert found.what.startswith(what)
    assert (found.models, found.tone) == (models, "error")
    assert [found.what, found.why, *found.details].count(reason) == 1, "the engine's words are there once"


def test_a_model_that_is_away_says_so_while_the_agent_waits_for_it() -> None:
    waits = view("waiting", "the keeper of models does not answer", waiting_for="network")
    found = failure_of(waits)
    assert found is not None
    assert (found.what, found.models, found.tone) == (
        "The service that keeps the models is away.",
        True,
        "warning",
    )


def test_one_that_was_cancelled_says_by_whom_and_nothing_of_a_failure() -> None:
    turn = TurnView(1, "failed", failures=("ended with its run",))
    found = failure_of(view("cancelled", "cancelled by user:anna", turns=(turn,)))
    assert found is not None
    assert (found.what, found.tone, found.details) == ("It was cancelled by anna.", "info", ())


def test_where_nothing_is_wrong_or_only_taking_it_back_was_there_is_no_failure() -> None:
    assert failure_of(view("succeeded")) is None
    assert failure_of(view("waiting", "an agent proposes this", waiting_for="approval")) is None
    assert failure_of(view("failed", "undo failed: call-1-1.undo: no", undo_asked=True)) is None
