"""What a crash makes of the step in flight (P3), and of the run that keeps crashing (P10)."""

import asyncio
import json
from functools import partial
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async

from appliance.accounts.principal import BOX
from appliance.runs import services
from appliance.runs.domain import RECOVERY_LIMIT
from appliance.runs.executor import Executor
from appliance.sandbox.errors import JobLost
from appliance.sandbox.ports import Job, Outcome
from tests.integration.runs.conftest import Engine, outcome
from tests.wait import wait_for_async

UNSAFE = """
- name: t
  trigger: manual
  actions:
    - {id: before, type: mqtt, topic: "a/before"}
    - {id: act, type: shell, args: ["/bin/relay", "on"]%s}
    - {id: after, type: mqtt, topic: "a/after"}
  on_failure:
    - {id: sorry, type: mqtt, topic: "a/sorry"}
"""

ALONE = """
- name: t
  trigger: manual
  actions: [{id: act, type: shell, args: ["/bin/report"], effect: idempotent}]
"""


def begun(engine: Engine, jobs: int) -> bool:
    return len(engine.world.jobs) == jobs


async def hang(job: Job) -> Outcome:
    await asyncio.Event().wait()
    raise AssertionError("never")


async def crash_in_step(engine: Engine, run_id: UUID) -> None:
    """A worker dies after the intent of ``act`` is committed and before its result is."""
    worker: Executor = engine.worker()
    engine.world.working = hang
    jobs = len(engine.world.jobs)
    worker.attend(run_id)
    await wait_for_async(lambda: len(engine.world.jobs) > jobs, 10, "the job has begun")
    await engine.crash(worker)
    engine.world.working = None
    assert await engine.state(run_id) == "running"
    assert await engine.recover(run_id) == ["queued"]


async def test_an_unsafe_step_in_flight_is_not_repeated_but_asked_about(engine: Engine) -> None:
    run_id = await engine.begin(UNSAFE % "")
    await crash_in_step(engine, run_id)
    row = await engine.perform(run_id)
    assert (row["state"], row["waiting_for"]) == ("waiting", "ambiguous")
    assert "not known" in row["reason"]
    assert len(engine.world.jobs) == 1
    assert await engine.steps(run_id) == [("before", 1, "succeeded"), ("act", 1, "ambiguous")]
    assert [topic for topic, _ in engine.world.published] == ["a/before"]


async def test_it_took_effect_says_a_person_and_the_run_goes_on_without_repeating_it(engine: Engine) -> None:
    run_id = await engine.begin(UNSAFE % "")
    await crash_in_step(engine, run_id)
    await engine.perform(run_id)
    await sync_to_async(services.settle)(run_id, True, BOX)
    assert (await engine.perform(run_id))["state"] == "succeeded"
    assert len(engine.world.jobs) == 1
    assert [topic for topic, _ in engine.world.published] == ["a/before", "a/after"]


async def test_it_did_not_take_effect_says_a_person_and_the_run_fails_by_its_on_failure(
    engine: Engine,
) -> None:
    run_id = await engine.begin(UNSAFE % "")
    await crash_in_step(engine, run_id)
    await engine.perform(run_id)
    await sync_to_async(services.settle)(run_id, False, BOX)
    row = await engine.perform(run_id)
    assert row["state"] == "failed"
    assert "did not take effect" in row["reason"]
    assert len(engine.world.jobs) == 1
    assert [topic for topic, _ in engine.world.published] == ["a/before", "a/sorry"]


async def test_a_settled_run_cannot_be_settled_again(engine: Engine) -> None:
    run_id = await engine.begin(UNSAFE % "")
    await crash_in_step(engine, run_id)
    await engine.perform(run_id)
    await sync_to_async(services.settle)(run_id, True, BOX)
    with pytest.raises(services.NotNow):
        await sync_to_async(services.settle)(run_id, False, BOX)


@pytest.mark.parametrize("effect", ["pure", "idempotent", "keyed"])
async def test_a_step_that_may_be_repeated_runs_again_and_finished_ones_do_not(
    engine: Engine, effect: str
) -> None:
    run_id = await engine.begin(UNSAFE % f", effect: {effect}")
    await crash_in_step(engine, run_id)
    assert (await engine.perform(run_id))["state"] == "succeeded"
    assert len(engine.world.jobs) == 2
    assert [topic for topic, _ in engine.world.published] == ["a/before", "a/after"]
    assert [state for _, _, state in await engine.steps(run_id)] == ["succeeded"] * 3


async def test_a_time_out_of_something_unsafe_is_ambiguous_though_it_may_retry(engine: Engine) -> None:
    async def too_long(job: Job) -> Outcome:
        return outcome(None, signal=9, timed_out=True)

    engine.world.working = too_long
    run_id = await engine.begin(UNSAFE % ", retry: 3")
    await engine.perform(run_id)
    assert await engine.state(run_id) == "waiting:ambiguous"
    assert len(engine.world.jobs) == 1


async def test_a_job_whose_sandbox_stopped_under_it_is_ambiguous(engine: Engine) -> None:
    async def killed(job: Job) -> Outcome:
        return outcome(None, signal=9, cancelled=True)

    engine.world.working = killed
    run_id = await engine.begin(UNSAFE % ", retry: 3")
    await engine.perform(run_id)
    assert await engine.state(run_id) == "waiting:ambiguous"


async def test_a_job_lost_with_its_sandbox_is_ambiguous(engine: Engine) -> None:
    async def lost(job: Job) -> Outcome:
        raise JobLost("the spawner went away")

    engine.world.working = lost
    run_id = await engine.begin(UNSAFE % ", retry: 3")
    await engine.perform(run_id)
    assert await engine.state(run_id) == "waiting:ambiguous"


async def test_a_known_failure_of_something_unsafe_may_be_retried(engine: Engine) -> None:
    answers = [outcome(1), outcome(0)]

    async def second_time(job: Job) -> Outcome:
        return answers.pop(0)

    engine.world.working = second_time
    run_id = await engine.begin(UNSAFE % ", retry: {attempts: 2, delay: 0s}")
    assert (await engine.perform(run_id))["state"] == "succeeded"
    assert ("act", 1, "failed") in await engine.steps(run_id)
    assert ("act", 2, "succeeded") in await engine.steps(run_id)


async def test_a_run_that_never_gets_on_is_parked_as_poisoned_and_blocks_nobody(engine: Engine) -> None:
    run_id = await engine.begin(
        UNSAFE.replace('{id: before, type: mqtt, topic: "a/before"}', "{id: x, type: set, value: 1}")
        % ", effect: pure"
    )
    for crash in range(RECOVERY_LIMIT + 1):
        worker = engine.worker()
        engine.world.working = hang
        worker.attend(run_id)
        await wait_for_async(partial(begun, engine, crash + 1), 10)
        await engine.crash(worker)
        done = await engine.recover(run_id)
        assert done == (["queued"] if crash < RECOVERY_LIMIT else ["poisoned"])
    row = await engine.run(run_id)
    assert (row["state"], row["finished_at"] is not None) == ("poisoned", True)
    assert "parked" in row["reason"]
    engine.world.working = None
    assert await engine.ledger().claim(run_id) is None
    other = await engine.start("t")
    assert (await engine.perform(other))["state"] == "succeeded"


async def test_getting_on_counts_from_anew(engine: Engine) -> None:
    run_id = await engine.begin(UNSAFE % ", effect: pure")
    await engine.sql("UPDATE runs_run SET recoveries = %s WHERE id = %s", RECOVERY_LIMIT, run_id)
    await crash_in_step(engine, run_id)
    assert (await engine.run(run_id))["recoveries"] == 1


async def test_recovery_only_queues(engine: Engine) -> None:
    run_id = await engine.begin(UNSAFE % "")
    await crash_in_step(engine, run_id)
    assert await engine.state(run_id) == "queued"
    assert len(engine.world.jobs) == 1


async def test_a_run_with_a_live_lease_is_left_alone(engine: Engine) -> None:
    run_id = await engine.begin(UNSAFE % "")
    assert await engine.ledger().claim(run_id)
    assert await engine.reconciler.recover() == []
    assert await engine.state(run_id) == "running"


async def test_a_new_life_of_a_worker_takes_over_what_the_dead_one_held(engine: Engine) -> None:
    run_id = await engine.begin(UNSAFE % "")
    dead = engine.ledger()
    assert await dead.claim(run_id)
    (repair,) = await engine.reconciler.recover(dead_owners=[dead.owner])
    assert (repair.subject, repair.done) == (str(run_id), "queued")


async def test_what_was_repaired_is_said_in_the_audit(engine: Engine) -> None:
    run_id = await engine.begin(UNSAFE % "")
    assert await engine.ledger().claim(run_id)
    await engine.recover(run_id)
    (entry,) = await engine.sql(
        "SELECT body FROM audit_record WHERE kind = 'reconciler.repaired' AND subject = %s", str(run_id)
    )
    assert json.loads(entry["body"])["detail"]["done"] == "queued"
