"""What a step gave leaves the engine without the secrets that the box knows."""

from collections.abc import Iterator

import pytest

from appliance.actions.contract import StepResult
from appliance.lib.masking import KNOWN, MASK
from appliance.runs.without_secrets import without_secrets

SECRET = "sesame-42-open"


@pytest.fixture(autouse=True)
def known() -> Iterator[None]:
    KNOWN.learn(SECRET)
    yield
    KNOWN.forget()


def test_what_a_step_did_beside_its_declaration_is_told_without_secrets() -> None:
    given = StepResult(StepResult.ok().status, undeclared=(f"executed /tmp/{SECRET}/x", "reached 10.0.0.1"))
    assert without_secrets(given).undeclared == (f"executed /tmp/{MASK}/x", "reached 10.0.0.1")


def test_a_checkpoint_stays_what_the_action_wrote() -> None:
    given = StepResult(StepResult.ok().status, error=SECRET, checkpoint={"at": SECRET})
    told = without_secrets(given)
    assert (told.error, told.checkpoint) == (MASK, {"at": SECRET})
