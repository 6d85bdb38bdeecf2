"""A notification that wants to be acknowledged: its escalation is there with its message, whichever lane it took."""

from typing import Any

import pytest

from tests.integration.runs.conftest import Engine
from tests.integration.runs.reflex.conftest import MakeReactor, letter

TELL = """
- name: tell
  triggers: [{id: m, mqtt: {topic: "in/#", payload: json}}]
  actions:
    - id: tell
      type: notification
      platform: loopback
      message: "n is {{ payload.n }}"
      acknowledge: {within: 10m, then: [role:admin]}
"""
_ROWS = """
SELECT e.state, e.stage, e.run_id, e.step_id, e.title, e.messages, o.id, o.message ->> 'text' AS text
FROM escalations_escalation e JOIN outbox_item o ON o.run_id = e.run_id
"""


def check(row: dict[str, Any], run: dict[str, Any]) -> None:
    assert (row["state"], row["stage"], row["title"]) == ("open", 0, "n is 7")
    assert (row["run_id"], row["step_id"], row["messages"]) == (run["id"], "tell", [str(row["id"])])
    assert row["text"].startswith("n is 7\nTo acknowledge, write: ack ")


@pytest.mark.parametrize("lane", ["reflex", "worker"])
async def test_its_escalation_stands_beside_its_message(
    engine: Engine,
    reactor: MakeReactor,
    lane: str,
) -> None:
    await engine.sql("DELETE FROM escalations_escalation RETURNING 1")
    here = await reactor(TELL)
    if lane == "worker":
        here.intake.reflex = None
    await here.deliver(letter("in/a", {"n": 7}))
    await here.settle()
    if lane == "worker":
        (queued,) = await engine.sql("SELECT id FROM runs_run")
        await engine.perform(queued["id"])
    run = await here.only_run()
    assert run["lane"] == lane
    (row,) = await engine.sql(_ROWS)
    check(row, run)
    (event,) = await engine.sql("SELECT data FROM events_event WHERE type = 'escalation.opened'")
    assert event["data"]["run_id"] == str(run["id"])
    await engine.sql("DELETE FROM escalations_escalation RETURNING 1")
