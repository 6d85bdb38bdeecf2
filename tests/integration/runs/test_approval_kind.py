"""The kind ``approval``: a step that asks people and goes on with their answer."""

from datetime import timedelta

import pytest

from appliance.safety.approvals.domain import Choice
from tests.integration.runs.conftest import task
from tests.integration.runs.desk import Desk, desk

__all__ = ["desk"]

QUESTION = """    - id: ask
      type: approval
      question: "Open {{ vars.valve }}?"
      show: ["mode: {{ state('plant/mode') }}"]
      approvers: engineer
      expires: 20m
"""
AFTER = "    - {id: after, type: set, value: '{{ outputs.ask.approved }}'}\n"
VARS = "{valve: V7}"


async def answer(desk: Desk, step: str) -> object:
    (row,) = await desk.sql(
        "SELECT output FROM runs_step WHERE step = %s ORDER BY attempt DESC LIMIT 1", step
    )
    return row["output"]


async def test_it_asks_with_what_to_know_and_goes_on_with_the_answer(desk: Desk) -> None:
    await desk.mode("auto")
    run_id = await desk.asked(QUESTION + AFTER, vars=VARS)
    (row,) = await desk.rows()
    assert row.shown == "Open V7?\nmode: auto"
    assert (row.purpose, row.approvers) == ("question", "engineer")
    await desk.say(Choice.APPROVE, reason="looks fine")
    assert (await desk.perform(run_id))["state"] == "succeeded"
    said = await answer(desk, "ask")
    assert isinstance(said, dict)
    assert (said["approved"], said["by"], said["reason"]) == (True, "anna", "looks fine")
    assert said["at"].startswith("20")
    assert await answer(desk, "after") is True


async def test_a_no_fails_the_step_and_with_on_deny_continue_it_goes_on(desk: Desk) -> None:
    run_id = await desk.asked(QUESTION + AFTER, vars=VARS)
    await desk.say(Choice.DENY, reason="not today")
    assert (await desk.perform(run_id))["reason"] == "step ask: denied by anna: not today"
    run_id = await desk.asked(QUESTION + "      on_deny: continue\n" + AFTER, vars=VARS)
    await desk.say(Choice.DENY, reason="not today")
    assert (await desk.perform(run_id))["state"] == "succeeded"
    assert await answer(desk, "after") is False


@pytest.mark.parametrize(("otherwise", "state"), [("deny", "failed"), ("continue", "succeeded")])
async def test_nobody_answers(desk: Desk, otherwise: str, state: str) -> None:
    run_id = await desk.asked(QUESTION + f"      on_timeout: {otherwise}\n" + AFTER, vars=VARS)
    await desk.pass_time(run_id, timedelta(minutes=20))
    await desk.reconciler.wake_due()
    row = await desk.perform(run_id)
    assert row["state"] == state
    if state == "failed":
        assert row["reason"] == "step ask: nobody decided within 20m"
    assert [one.state for one in await desk.rows()] == ["expired"]


async def test_a_worker_that_dies_between_question_and_pause_asks_once(desk: Desk) -> None:
    run_id = await desk.asked(QUESTION, vars=VARS)
    await desk.sql("UPDATE runs_run SET state = 'queued', waiting_for = ''")
    await desk.sql("DELETE FROM runs_step")
    await desk.perform(run_id)
    assert await desk.state(run_id) == "waiting:approval"
    assert len(await desk.rows()) == 1
    assert await desk.count("outbox_item") == 1


async def test_unattended_it_asks_nobody(desk: Desk) -> None:
    run_id = await desk.begin(task(QUESTION, vars=VARS, unattended="true"))
    row = await desk.perform(run_id)
    assert row["reason"] == "step ask: needs the approval of an engineer, and the task is unattended"
