"""Whoever sets the clock changes no length: what was to last half a minute lasts half a minute."""

from dataclasses import dataclass
from datetime import timedelta

import pytest

from appliance.lib.clock import SystemClock
from appliance.runs.clock_steps import ClockSteps, since_boot
from tests.integration.runs.conftest import Engine, answering, outcome, task
from tests.integration.runs.test_holds import HOT, arrive, fire, pass_time
from tests.integration.runs.test_intake import door

HOUR = timedelta(hours=1)
_ROWS = (
    "UPDATE tasks_hold SET since = since - %(by)s, due_at = due_at - %(by)s, touched_at = touched_at - %(by)s",
    "UPDATE runs_step SET started_at = started_at - %(by)s, finished_at = finished_at - %(by)s, "
    "due_at = due_at - %(by)s",
    "UPDATE runs_step SET checkpoint = checkpoint || "
    "jsonb_build_object('due', (checkpoint ->> 'due')::timestamptz - %(by)s) WHERE checkpoint ? 'due'",
    "UPDATE runs_run SET wake_at = wake_at - %(by)s, started_at = started_at - %(by)s, deadline = deadline - %(by)s",
    "UPDATE runs_run SET created_at = created_at - %(by)s",
    "UPDATE runs_split SET created_at = created_at - %(by)s, due_at = due_at - %(by)s, "
    "shard_deadline = shard_deadline - %(by)s",
    "UPDATE outbox_item SET created_at = created_at - %(by)s, expires_at = expires_at - %(by)s",
    "UPDATE safety_approval SET created_at = created_at - %(by)s, expires_at = expires_at - %(by)s",
    "UPDATE runs_clockreading SET since = since - %(by)s",
)


@dataclass
class Machine:
    """Its clock cannot be set in a test. Seen from a clock that was, all rows are further back, and so is the boot."""

    engine: Engine
    stepped: float = 0.0

    def watch(self, boot: str = "this") -> ClockSteps:
        return ClockSteps(
            self.engine.pool, self.engine.clock, elapsed=lambda: since_boot() - self.stepped, boot=boot
        )

    async def step(self, by: timedelta) -> None:
        self.stepped += by.total_seconds()
        async with self.engine.pool.connection() as connection:
            for statement in _ROWS:
                await connection.execute(statement, {"by": by})


@pytest.fixture
async def machine(engine: Engine) -> Machine:
    return Machine(engine)


async def watched(machine: Machine) -> ClockSteps:
    """From now on. The box's clock of these tests stands still, so it is a moment behind by then."""
    steps = machine.watch()
    assert not await steps.look()
    machine.engine.clock.set(SystemClock().now() - machine.engine.clock.now())
    return steps


async def test_a_clock_set_forward_makes_no_hold_due(engine: Engine, machine: Machine) -> None:
    steps, opened = await watched(machine), await door(engine, HOT)
    await arrive(opened, a=81)
    await machine.step(HOUR)
    assert abs(await steps.look() - HOUR) < timedelta(seconds=1)
    assert not await steps.look()
    assert await fire(opened) == 0
    await pass_time(engine, "30 seconds")
    assert await fire(opened) == 1


async def test_a_clock_set_back_lets_no_hold_last_longer(engine: Engine, machine: Machine) -> None:
    steps, opened = await watched(machine), await door(engine, HOT)
    await arrive(opened, a=81)
    await machine.step(timedelta(seconds=20))  # time passes, on both clocks
    machine.stepped = 0.0
    await machine.step(-HOUR)
    await steps.look()
    assert await fire(opened) == 0
    await pass_time(engine, "11 seconds")
    assert await fire(opened) == 1


@pytest.mark.parametrize("by", [3 * HOUR, -3 * HOUR])
async def test_a_wait_lasts_as_long_as_it_was_to(engine: Engine, machine: Machine, by: timedelta) -> None:
    steps = await watched(machine)
    run_id = await engine.begin(task("    - {id: pause, type: wait, duration: 2h}\n", timeout="4h"))
    before = await engine.perform(run_id)
    await machine.step(by)
    await steps.look()
    after = await engine.run(run_id)
    assert abs(after["wake_at"] - before["wake_at"]) < timedelta(seconds=1)
    assert abs(after["deadline"] - before["deadline"]) < timedelta(seconds=1)
    assert await engine.reconciler.wake_due() == []
    await engine.pass_time(run_id, 2 * HOUR + timedelta(seconds=1))
    assert await engine.reconciler.wake_due() == [run_id]
    assert (await engine.perform(run_id))["state"] == "succeeded"


@pytest.mark.parametrize("by", [3 * HOUR, -3 * HOUR])
async def test_a_clock_that_is_set_wrong_and_right_again_changes_nothing(
    engine: Engine, machine: Machine, by: timedelta
) -> None:
    steps = await watched(machine)
    run_id = await engine.begin(task("    - {id: pause, type: wait, duration: 2h}\n", timeout="4h"))
    before = await engine.perform(run_id)
    for step in (by, -by):
        await machine.step(step)
        await steps.look()
    after = await engine.run(run_id)
    assert abs(after["wake_at"] - before["wake_at"]) < timedelta(seconds=1)
    assert abs(after["deadline"] - before["deadline"]) < timedelta(seconds=1)


async def test_a_split_keeps_its_time_limits(engine: Engine, machine: Machine) -> None:
    steps = await watched(machine)
    each = (
        "{id: each, type: foreach, items: [1], timeout: 2h, actions: [{id: pause, type: wait, duration: 1h}]}"
    )
    run_id = await engine.begin(task(f"    - {each}\n", timeout="4h"))
    before = await engine.perform(run_id)
    (split,) = await engine.sql("SELECT due_at, shard_deadline FROM runs_split")
    await machine.step(HOUR)
    await steps.look()
    assert before["waiting_for"] == "shards"
    assert abs((await engine.run(run_id))["wake_at"] - before["wake_at"]) < timedelta(seconds=1)
    (moved,) = await engine.sql("SELECT due_at, shard_deadline FROM runs_split")
    assert all(abs(moved[name] - split[name]) < timedelta(seconds=1) for name in split)


async def test_a_message_that_waits_expires_no_sooner(engine: Engine, machine: Machine) -> None:
    steps = await watched(machine)
    await engine.perform(
        await engine.begin(task("    - {type: notification, platform: webchat, message: hello}\n"))
    )
    (before,) = await engine.sql("SELECT expires_at FROM outbox_item")
    await machine.step(25 * HOUR)
    await steps.look()
    (after,) = await engine.sql("SELECT expires_at FROM outbox_item")
    assert abs(after["expires_at"] - before["expires_at"]) < timedelta(seconds=1)


async def test_a_retry_keeps_its_pause(engine: Engine, machine: Machine) -> None:
    steps = await watched(machine)
    engine.world.working = answering(outcome(1), outcome(0, b"fine\n"))
    run_id = await engine.begin(
        task("    - {id: a, type: shell, args: [/bin/x], retry: {attempts: 2, delay: 10m}}\n")
    )
    before = await engine.perform(run_id)
    await machine.step(HOUR)
    await steps.look()
    assert abs((await engine.run(run_id))["wake_at"] - before["wake_at"]) < timedelta(seconds=1)
    (row,) = await engine.sql("SELECT due_at FROM runs_step WHERE run_id = %s", run_id)
    assert abs(row["due_at"] - before["wake_at"]) < timedelta(seconds=1)


async def test_a_step_while_the_box_was_down_is_seen_in_the_same_boot_only(
    engine: Engine, machine: Machine
) -> None:
    opened = await door(engine, HOT)
    await machine.watch().look()
    await arrive(opened, a=81)
    await machine.step(HOUR)
    assert await machine.watch().look() > timedelta(minutes=59)
    await machine.step(HOUR)
    assert not await machine.watch("the next one").look()
    assert await fire(opened) == 1


async def test_what_is_from_before_the_boot_is_left_to_the_wall_clock(
    engine: Engine, machine: Machine
) -> None:
    """It was right then; the clock that this machine woke up with was wrong."""
    opened = await door(engine, HOT)
    await arrive(opened, a=81)
    await pass_time(engine, "10 seconds")
    steps = machine.watch()
    await steps.look()
    await machine.step(HOUR)
    await steps.look()
    assert await fire(opened) == 1


async def test_it_is_on_record_how_far_the_clock_was_set(engine: Engine, machine: Machine) -> None:
    steps, opened = await watched(machine), await door(engine, HOT)
    await arrive(opened, a=81, b=82)
    await machine.step(-HOUR)
    await steps.look()
    (row,) = await engine.sql(
        "SELECT body::jsonb -> 'detail' AS detail FROM audit_record WHERE kind = 'clock.stepped' "
        "ORDER BY seq DESC LIMIT 1"
    )
    assert row["detail"]["holds"] == 2
    assert row["detail"]["seconds"] == pytest.approx(-3600, abs=1)
