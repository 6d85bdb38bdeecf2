"""What agents below each other may spend: all together what the first was given."""

from dataclasses import replace
from typing import Any

import pytest

from appliance.agent.domain import Budget
from appliance.agent.loop.sharing import DEEPEST, Spent, narrowed, nothing_left, with_beneath
from appliance.agent.loop.story import Story, story_of
from tests.unit.agent.loop.test_growth import asked


def story(steps: int, tokens: int, seconds: float, *, budget: Budget, **more: Any) -> Story:
    empty = story_of(asked(budget=budget), [])
    return replace(empty, steps=steps, tokens=tokens, seconds=seconds, working=seconds, **more)


FIRST = Budget(20, 10_000, 100.0)
BELOW = Budget(50, 50_000, 600.0)


def test_who_is_below_has_what_is_left_above_but_the_step_that_answers_there() -> None:
    above = story(6, 4_000, 30.0, budget=FIRST)
    found = narrowed(story(2, 100, 5.0, budget=BELOW), [above])
    assert found.asked.budget == Budget(2 + 20 - 6 - 1, 100 + 6_000, 5.0 + 70.0)


def test_ones_own_budget_holds_where_it_is_smaller() -> None:
    above = story(1, 0, 0.0, budget=FIRST)
    assert narrowed(story(0, 0, 0.0, budget=Budget(3, 200, 9.0)), [above]).asked.budget == Budget(3, 200, 9.0)


def test_of_several_above_the_tightest_counts() -> None:
    outer, inner = story(2, 9_900, 1.0, budget=FIRST), story(48, 10, 1.0, budget=BELOW)
    found = narrowed(story(0, 0, 0.0, budget=BELOW), [outer, inner]).asked.budget
    assert (found.steps, found.tokens) == (50 - 48 - 1, 100)


def test_what_is_spent_below_is_spent_above_and_waiting_for_it_is_not_counted_twice() -> None:
    waited = story(3, 100, 62.0, budget=FIRST)
    waited = replace(waited, working=2.0)
    found = with_beneath(waited, Spent(4, 900, 50.0))
    assert (found.steps, found.tokens, found.seconds) == (7, 1_000, 62.0)
    assert with_beneath(waited, Spent(4, 900, 90.0)).seconds == 92.0


@pytest.mark.parametrize("spent", [(19, 0, 0.0), (20, 0, 0.0), (1, 10_000, 0.0), (1, 0, 100.0)])
def test_where_nothing_is_left_no_model_is_asked(spent: tuple[int, int, float]) -> None:
    found = narrowed(story(0, 0, 0.0, budget=BELOW), [story(*spent, budget=FIRST)])
    assert "nothing left" in nothing_left(found, ["one"])
    alone = narrowed(story(0, 0, 0.0, budget=BELOW), [])
    assert nothing_left(alone, []) == ""


def test_not_more_than_a_few_lead_to_each_other() -> None:
    found = narrowed(story(0, 0, 0.0, budget=BELOW), [])
    assert nothing_left(found, ["x"] * (DEEPEST - 1)) == ""
    assert "lead to each other" in nothing_left(found, ["x"] * DEEPEST)


def test_it_says_that_it_shares() -> None:
    found = narrowed(story(14, 0, 0.0, budget=BELOW), [story(20 - 2, 0, 0.0, budget=FIRST)])
    assert found.over().startswith("its share of the budget of")
