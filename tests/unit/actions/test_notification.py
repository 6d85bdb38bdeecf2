"""How long a message may wait, and before which others it goes, is said on its step."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from appliance.actions.contract import StepContext
from appliance.actions.notification import NotificationAction, NotificationParams
from appliance.lib.identity import uuid7
from appliance.lib.priority import Priority
from appliance.outbox.ports import OutboxItem

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CONTEXT = StepContext(
    run_id=uuid7(), step_id="tell", task_id=1, task_name="t", attempt=1, key="k", principal="trigger:t", priority=-10,
    now=NOW, timeout=1.0, ok_exit=(0,), services=None, connect=None,  # type: ignore[arg-type]
)  # fmt: skip


def params(**keys: Any) -> NotificationParams:
    return NotificationParams.model_validate({"platform": "webchat", "message": "hot", **keys})


async def item(**keys: Any) -> OutboxItem:
    action = NotificationAction()
    result = await action.perform(action.arguments(params(**keys), {}), replace(CONTEXT))
    [found] = result.outbox
    return found


async def test_a_message_waits_a_day_with_the_urgency_of_its_task() -> None:
    found = await item()
    assert (found.expires_at, found.priority) == (None, -10)


async def test_its_step_says_otherwise() -> None:
    found = await item(valid_for="90s", priority="critical")
    assert (found.expires_at, found.priority) == (NOW + timedelta(seconds=90), Priority.CRITICAL.rank)


async def test_a_long_text_goes_with_it() -> None:
    action = NotificationAction()
    given = params(attach="{% if outputs.check %}{{ outputs.check }}{% endif %}")
    said = action.arguments(given, {"outputs": {"check": "line\n" * 3}})
    [found] = (await action.perform(said, replace(CONTEXT))).outbox
    assert found.message == {"text": "hot", "task": "t", "attach": "line\n" * 3}


def test_what_is_not_said_does_not_change_what_was_approved_before() -> None:
    assert NotificationAction().arguments(params(), {}).keys() == {"platform", "message", "to"}


@pytest.mark.parametrize("keys", [{"valid_for": "31d"}, {"valid_for": "0s"}, {"priority": "urgent"}])
def test_nonsense_is_refused(keys: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        params(**keys)


ACKNOWLEDGE = {
    "within": "10m",
    "then": [
        {"platform": "slack", "to": "C123"},
        "user:ana",
        {"to": ["role:admin", "telegram/123"], "within": "5m"},
    ],
}


async def test_one_that_wants_to_be_acknowledged_opens_what_escalates() -> None:
    action = NotificationAction()
    result = await action.perform(action.arguments(params(acknowledge=ACKNOWLEDGE), {}), replace(CONTEXT))
    ([found], [new]) = (result.outbox, result.escalations)
    assert [(stage.after, stage.to) for stage in new.stages] == [
        (600, ("slack/C123",)),
        (600, ("user:ana",)),
        (600, ("role:admin", "telegram/123")),
        (300, ()),
    ]
    assert new.messages == (found.id,)
    assert found.about == "", "it is in no digest, and nobody mutes it"
    assert found.message["text"] == f"hot\nTo acknowledge, write: ack {new.code}"
    assert found.message["buttons"] == [{"label": "Acknowledge", "data": f"ack {new.code}"}]
    again = await action.perform(action.arguments(params(acknowledge=ACKNOWLEDGE), {}), replace(CONTEXT))
    assert again.escalations == result.escalations


@pytest.mark.parametrize(
    "acknowledge",
    [
        {},
        {"within": "0s"},
        {"within": "8d"},
        {"within": "1m", "then": [{"within": "1m"}]},
        {"within": "1m", "then": ["role:boss"]},
        {"within": "1m", "then": [{"platform": "slack", "to": "role:admin"}]},
        {"within": "1m", "then": ["user:ana"] * 11},
        {"within": "1m", "wait": True},
    ],
)
def test_an_acknowledgement_that_nobody_could_mean_is_refused(acknowledge: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        params(acknowledge=acknowledge)
