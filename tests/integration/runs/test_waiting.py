"""A run that waits is a row: it outlives every worker, and goes on where it was."""

from datetime import timedelta

import pytest

from appliance.bus.errors import BusAway, TopicRefused
from tests.integration.runs.conftest import Engine, answering, outcome, task


async def test_a_wait_is_a_row_that_outlives_every_worker(engine: Engine) -> None:
    run_id = await engine.begin(
        task("    - {id: pause, type: wait, duration: 2h}\n    - {id: b, type: mqtt, topic: a/b}\n")
    )
    await engine.perform(run_id)
    assert await engine.state(run_id) == "waiting:timer"
    assert await engine.reconciler.wake_due() == []
    await engine.pass_time(run_id, timedelta(hours=2))
    assert await engine.reconciler.wake_due() == [run_id]
    assert (await engine.perform(run_id, engine.worker()))["state"] == "succeeded"
    assert len(engine.world.published) == 1


async def test_a_wait_that_is_woken_early_goes_on_waiting_for_its_first_due_time(engine: Engine) -> None:
    run_id = await engine.begin(task("    - {id: pause, type: wait, duration: 2h}\n"))
    first = (await engine.perform(run_id))["wake_at"]
    engine.clock.advance(timedelta(hours=1))
    await engine.sql("UPDATE runs_run SET state = 'queued', waiting_for = '', wake_at = NULL")
    assert (await engine.perform(run_id))["wake_at"] == first


async def test_a_condition_is_decided_once_for_a_step_that_waits(engine: Engine) -> None:
    await engine.sql(
        "INSERT INTO bus_topicvalue (topic, payload, size, retained, value, quality, at, count, rate) "
        "VALUES ('mode', 'on', 2, false, '\"on\"', 'good', %s, 1, 0)",
        engine.clock.now(),
    )
    run_id = await engine.begin(
        task("""    - {id: pause, type: wait, duration: 1h, condition: "{{ state('mode') == 'on' }}"}\n""")
    )
    await engine.perform(run_id)
    assert await engine.state(run_id) == "waiting:timer"
    await engine.sql("UPDATE bus_topicvalue SET value = '\"off\"'")
    await engine.pass_time(run_id, timedelta(hours=1))
    await engine.reconciler.wake_due()
    await engine.perform(run_id)
    assert await engine.steps(run_id) == [("pause", 1, "succeeded")]


async def test_a_retry_with_a_delay_waits_in_its_row(engine: Engine) -> None:
    engine.world.working = answering(outcome(1), outcome(0, b"fine\n"))
    run_id = await engine.begin(
        task("    - {id: a, type: shell, args: [/bin/x], retry: {attempts: 2, delay: 10m}}\n")
    )
    await engine.perform(run_id)
    assert await engine.state(run_id) == "waiting:retry"
    assert await engine.steps(run_id) == [("a", 1, "failed")]
    await engine.pass_time(run_id, timedelta(minutes=10))
    await engine.reconciler.wake_due()
    assert (await engine.perform(run_id))["state"] == "succeeded"
    assert await engine.steps(run_id) == [("a", 1, "failed"), ("a", 2, "succeeded")]


async def test_a_crash_between_an_attempt_and_its_pause_does_not_bring_the_next_attempt_forward(
    engine: Engine,
) -> None:
    engine.world.working = answering(outcome(1), outcome(0, b"fine\n"))
    run_id = await engine.begin(
        task("    - {id: a, type: shell, args: [/bin/x], retry: {attempts: 2, delay: 5m}}\n")
    )
    due = (await engine.perform(run_id))["wake_at"]
    for _ in range(2):  # as the ledger is when the worker dies before it gives the run up
        await engine.sql(
            "UPDATE runs_run SET state = 'running', waiting_for = '', wake_at = NULL, lease_owner = 'dead' "
            "WHERE id = %s",
            run_id,
        )
        engine.clock.advance(timedelta(minutes=2))
        await engine.recover(run_id)
        row = await engine.perform(run_id, engine.worker())
        assert (row["state"], row["waiting_for"], row["wake_at"]) == ("waiting", "retry", due)
    assert len(engine.world.jobs) == 1
    await engine.pass_time(run_id, timedelta(minutes=2))
    assert await engine.reconciler.wake_due() == [run_id]
    assert (await engine.perform(run_id))["state"] == "succeeded"
    assert len(engine.world.jobs) == 2


async def test_a_wait_keeps_its_end_through_a_crash_at_any_moment_of_it(engine: Engine) -> None:
    run_id = await engine.begin(task("    - {id: pause, type: wait, duration: 2h}\n"))
    due = (await engine.perform(run_id))["wake_at"]
    for hours in (0.5, 1, 0.25):
        await engine.sql(
            "UPDATE runs_run SET state = 'running', waiting_for = '', wake_at = NULL, lease_owner = 'dead' "
            "WHERE id = %s",
            run_id,
        )
        engine.clock.advance(timedelta(hours=hours))
        await engine.recover(run_id)
        row = await engine.perform(run_id, engine.worker())
        assert (row["state"], row["wake_at"]) == ("waiting", due)
    # Down over its end: it goes on at once, without another two hours.
    await engine.pass_time(run_id, timedelta(days=1))
    assert await engine.reconciler.wake_due() == [run_id]
    assert (await engine.perform(run_id))["state"] == "succeeded"
    assert await engine.steps(run_id) == [("pause", 1, "succeeded")]


async def test_retries_end(engine: Engine) -> None:
    engine.world.working = answering(*(outcome(1) for _ in range(3)))
    run_id = await engine.begin(
        task("    - {id: a, type: shell, args: [/bin/x], retry: {attempts: 3, delay: 0s}}\n")
    )
    row = await engine.perform(run_id)
    assert (row["state"], row["reason"]) == ("failed", "step a: exit status 1, expected 0")
    assert len(engine.world.jobs) == 3


async def test_a_broker_that_is_away_is_waited_for_without_using_up_attempts(engine: Engine) -> None:
    away = [True, True, False]

    async def publishing(topic: str, payload: bytes) -> None:
        if away.pop(0):
            raise BusAway("not connected")

    engine.world.publishing = publishing
    run_id = await engine.begin(task("    - {id: a, type: mqtt, topic: a/b}\n"))
    for _ in range(2):
        await engine.perform(run_id)
        assert await engine.state(run_id) == "waiting:network"
        await engine.pass_time(run_id, timedelta(minutes=1))
        assert await engine.reconciler.wake_due() == [run_id]
    assert (await engine.perform(run_id))["state"] == "succeeded"
    assert await engine.steps(run_id) == [("a", 1, "succeeded")]


async def test_what_the_broker_refuses_for_good_is_not_tried_again(engine: Engine) -> None:
    async def publishing(topic: str, payload: bytes) -> None:
        raise TopicRefused("not this one")

    engine.world.publishing = publishing
    run_id = await engine.begin(task("    - {id: a, type: mqtt, topic: a/b, retry: 5}\n"))
    assert (await engine.perform(run_id))["state"] == "failed"
    assert len(engine.world.published) == 1


async def test_a_run_does_not_outlive_its_own_time_limit_not_even_asleep(engine: Engine) -> None:
    run_id = await engine.begin(task("    - {id: pause, type: wait, duration: 2h}\n", timeout="5m"))
    row = await engine.perform(run_id)
    assert row["wake_at"] <= row["deadline"]
    await engine.pass_time(run_id, timedelta(minutes=6))
    await engine.reconciler.wake_due()
    row = await engine.perform(run_id)
    assert row["state"] == "failed"
    assert "time limit" in row["reason"]


async def test_many_that_are_due_at_once_are_woken_some_at_a_time(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each commit is short, whatever has come together while the box was off."""
    monkeypatch.setattr("appliance.runs.reconciler.MOST_WOKEN", 2)
    sleeps = task("    - {id: pause, type: wait, duration: 1h}\n")
    ids = [await engine.begin(sleeps) for _ in range(5)]
    for run_id in ids:
        await engine.perform(run_id)
        await engine.pass_time(run_id, timedelta(hours=2))
    assert set(await engine.reconciler.wake_due()) == set(ids)
    assert {await engine.state(run_id) for run_id in ids} == {"queued"}
