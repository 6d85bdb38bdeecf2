"""A worker that is told to stop: its commands keep their state, and its runs go on with the next one at once."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.sandbox.ports import Job, Outcome
from tests.integration.runs.conftest import Engine, task
from tests.spawner import RunningSpawner, start_spawner
from tests.wait import wait_for_async

# It goes on from its file, and says so; told to end, it writes down where it is.
COUNTING = """
    n=$(cat "$MILLWRIGHT_CHECKPOINT" 2>/dev/null || echo 0); from=$n
    trap 'echo $n > "$MILLWRIGHT_CHECKPOINT.new"; mv "$MILLWRIGHT_CHECKPOINT.new" "$MILLWRIGHT_CHECKPOINT"; exit 0' TERM
    n=$((n+7)); echo at $n
    while [ $from -eq 0 ]; do sleep 0.05; done
    echo went on from $from
"""
ACTIONS = f"""
    - id: long
      type: shell
      args: [/bin/sh, -c, {json.dumps(COUNTING)}]
      effect: EFFECT
    - {{id: after, type: mqtt, topic: a/after}}
"""


@pytest.fixture
def spawner(tmp_path: Path) -> Iterator[RunningSpawner]:
    running = start_spawner(tmp_path)
    yield running
    running.stop()


@pytest.fixture
def begun(engine: Engine, spawner: RunningSpawner) -> asyncio.Event:
    """Set when a real command has said where it is: from then on it hears."""
    said = asyncio.Event()

    async def real(job: Job) -> Outcome:
        return await spawner.sandbox.run(job, on_output=lambda *_: said.set())

    engine.world.working = real
    return said


@pytest.mark.parametrize("effect", ["idempotent", "pure"])
async def test_a_command_goes_on_from_where_it_was_when_its_worker_was_told_to_stop(
    engine: Engine, begun: asyncio.Event, effect: str
) -> None:
    run_id = await engine.begin(task(ACTIONS.replace("EFFECT", effect)))
    worker = engine.worker()
    worker.attend(run_id)
    await asyncio.wait_for(begun.wait(), 20)
    await worker.drain(0, farewell=15)
    row = await engine.run(run_id)
    assert (row["state"], row["recoveries"], row["lease_owner"]) == ("queued", 0, "")
    assert "worker stopped" in row["reason"]
    assert (await engine.perform(run_id))["state"] == "succeeded"
    (step,) = await engine.sql(
        "SELECT output, attempt FROM runs_step WHERE run_id = %s AND step = 'long'", run_id
    )
    assert step == {"output": "at 14\nwent on from 7", "attempt": 1}
    assert len(engine.world.published) == 1


async def test_an_unsafe_command_keeps_its_state_and_a_person_is_asked(
    engine: Engine, begun: asyncio.Event
) -> None:
    run_id = await engine.begin(task(ACTIONS.replace("EFFECT", "unsafe")))
    worker = engine.worker()
    worker.attend(run_id)
    await asyncio.wait_for(begun.wait(), 20)
    await worker.drain(0, farewell=15)
    assert await engine.state(run_id) == "waiting:ambiguous"
    assert "because its worker stopped" in (await engine.run(run_id))["reason"]
    assert await engine.steps(run_id) == [("long", 1, "ambiguous")]
    (kept,) = await engine.sql("SELECT content FROM runs_checkpoint WHERE run_id = %s", run_id)
    assert bytes(kept["content"]) == b"7\n"


async def test_a_run_between_two_steps_is_given_back_before_the_next(engine: Engine) -> None:
    worker = engine.worker()

    async def publishing(topic: str, payload: bytes) -> None:
        if topic == "a/one":
            await wait_for_async(lambda: worker._performer.leaving.is_said, 10, "the worker leaves")

    engine.world.publishing = publishing
    run_id = await engine.begin(
        task("    - {id: a, type: mqtt, topic: a/one}\n    - {id: b, type: mqtt, topic: a/two}\n")
    )
    worker.attend(run_id)
    await wait_for_async(lambda: engine.world.published, 10, "the first step acts")
    await worker.drain(0, farewell=15)
    assert await engine.state(run_id) == "queued"
    assert await engine.steps(run_id) == [("a", 1, "succeeded")]
    assert (await engine.perform(run_id))["state"] == "succeeded"
    assert [topic for topic, _ in engine.world.published] == ["a/one", "a/two"]


async def test_a_run_that_ends_in_time_is_not_given_back(engine: Engine) -> None:
    worker = engine.worker()
    go_on = asyncio.Event()

    async def publishing(topic: str, payload: bytes) -> None:
        await go_on.wait()

    engine.world.publishing = publishing
    run_id = await engine.begin(
        task("    - {id: a, type: mqtt, topic: a/one}\n    - {id: b, type: mqtt, topic: a/two}\n")
    )
    worker.attend(run_id)
    await wait_for_async(lambda: engine.world.published, 10, "the first step acts")
    draining = asyncio.create_task(worker.drain(15, farewell=15))
    await asyncio.sleep(0)
    go_on.set()
    await draining
    assert await engine.state(run_id) == "succeeded"


async def test_whose_cancellation_was_asked_for_ends_when_it_is_taken_up_again(engine: Engine) -> None:
    worker = engine.worker()

    async def publishing(topic: str, payload: bytes) -> None:
        await wait_for_async(lambda: worker._performer.leaving.is_said, 10, "the worker leaves")
        await engine.sql("UPDATE runs_run SET cancel_requested = true, reason = 'enough'")

    engine.world.publishing = publishing
    run_id = await engine.begin(
        task("    - {id: a, type: mqtt, topic: a/one}\n    - {id: b, type: mqtt, topic: a/two}\n")
    )
    worker.attend(run_id)
    await wait_for_async(lambda: engine.world.published, 10, "the first step acts")
    await worker.drain(0, farewell=15)
    assert (await engine.perform(run_id))["state"] == "cancelled"
    assert len(engine.world.published) == 1
