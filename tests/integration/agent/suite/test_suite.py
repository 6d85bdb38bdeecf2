"""The shipped suite: who goes about it well passes, and each check sees whoever does not."""

import pytest

from appliance.agent.domain import Risk
from appliance.agent.suite.judging import faults
from appliance.agent.suite.problem import Problem, Turn, shipped
from appliance.agent.suite.stand import Stand
from appliance.agent.tools.registry import tools

PROBLEMS = shipped()
FULL = pytest.mark.slow(sample=False)
"""For `make test-full`: of what follows a part is enough for every day."""
WRONG = [
    pytest.param(one, number, id=f"{one.id}-{number}", marks=() if place % 3 == number == 0 else FULL)
    for place, one in enumerate(PROBLEMS)
    for number in range(len(one.wrong))
]
CLAIMED = [
    pytest.param(one, id=one.id, marks=() if place % 4 == 1 else FULL) for place, one in enumerate(PROBLEMS)
]


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda one: one.id)
async def test_the_shipped_way_solves_it(stand: Stand, problem: Problem) -> None:
    seen = await stand.go_through(problem)
    assert faults(problem.check, seen) == [], seen.calls
    assert seen.malformed == 0


@pytest.mark.parametrize(("problem", "number"), WRONG)
async def test_a_wrong_way_does_not_pass(stand: Stand, problem: Problem, number: int) -> None:
    seen = await stand.go_through(problem, problem.wrong[number])
    assert faults(problem.check, seen)
    assert "[Not confirmed" not in seen.answer, "the box's words are none of the model's"


@pytest.mark.parametrize("problem", CLAIMED)
async def test_who_only_claims_it_does_not_pass(stand: Stand, problem: Problem) -> None:
    """The right words, without any call that does what they say."""
    kept = [_without_changes(turn) for turn in problem.script]
    claims = [turn for turn in kept if turn.calls or turn.answer]
    if claims == list(problem.script):
        claims = [turn for turn in problem.script if turn.answer]
    seen = await stand.go_through(problem, claims)
    assert faults(problem.check, seen)


def _without_changes(turn: Turn) -> Turn:
    reads = tuple(one for one in turn.calls if all(_reads(name) for name in one))
    return turn.model_copy(update={"calls": reads})


def _reads(name: str) -> bool:
    return tools()[name].risk is Risk.READ or name == "shell"
