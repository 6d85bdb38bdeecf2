"""What a run did is taken back where its task says so or a person asks: durably, last step first."""

import asyncio
import json
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async

from appliance.accounts.principal import BOX
from appliance.runs import ended, services, taking_back
from appliance.runs.fork import ForkRefused
from appliance.sandbox.ports import Job, Outcome
from tests.integration.runs.conftest import Engine, answering, outcome
from tests.wait import wait_for_async

TASK = """
- name: t
  trigger: manual
  actions:
    - {id: open, type: mqtt, topic: valve/open, undo: {type: mqtt, topic: valve/close}}
    - id: make
      type: shell
      args: [/bin/make]
      undo: {type: shell, args: [/bin/unmake, "{{ output }}"], EFFECT}
    - {id: halt, type: mqtt, topic: pump/halt, safe_state: true}
    - {id: last, type: shell, args: [/bin/last]}
  ON_FAILURE
"""


def text(effect: str = "effect: idempotent", on_failure: str = "on_failure: undo") -> str:
    return TASK.replace("EFFECT", effect).replace("ON_FAILURE", on_failure)


async def undo(run_id: UUID) -> None:
    await sync_to_async(taking_back.undo)(run_id, BOX)


def topics(engine: Engine) -> list[str]:
    return [topic for topic, _ in engine.world.published]


def failing_last(engine: Engine, *undoing: Outcome) -> None:
    engine.world.working = answering(outcome(stdout=b"thing"), outcome(1), *undoing)


async def test_a_task_that_says_so_takes_back_what_it_did_when_a_step_fails(engine: Engine) -> None:
    failing_last(engine, outcome())
    run_id = await engine.begin(text())
    row = await engine.perform(run_id)
    assert (row["state"], row["finished_at"] is not None) == ("undone", True)
    assert row["reason"].startswith("step last: exit status 1")
    assert engine.world.jobs == [("/bin/make",), ("/bin/last",), ("/bin/unmake", "thing")]
    assert topics(engine) == ["valve/open", "pump/halt", "valve/close"]
    assert "halt: not undone, it is a safe state" in row["warning"]
    assert [(step, state) for step, _, state in await engine.steps(run_id)] == [
        ("open", "succeeded"),
        ("make", "succeeded"),
        ("halt", "succeeded"),
        ("last", "failed"),
        ("make.undo", "succeeded"),
        ("open.undo", "succeeded"),
    ]


async def test_a_later_failure_undoes_nothing_by_itself(engine: Engine) -> None:
    failing_last(engine)
    run_id = await engine.begin(text(on_failure=""))
    assert (await engine.perform(run_id))["state"] == "failed"
    assert topics(engine) == ["valve/open", "pump/halt"]


async def test_a_person_can_ask_for_it_after_a_green_run(engine: Engine) -> None:
    run_id = await engine.begin(text(on_failure=""))
    assert (await engine.perform(run_id))["state"] == "succeeded"
    await undo(run_id)
    row = await engine.perform(run_id)
    assert row["state"] == "undone"
    assert "last: not undone, it has no undo" in row["warning"]
    assert topics(engine)[-1] == "valve/close"
    with pytest.raises(services.NotNow, match="undone already"):
        await undo(run_id)
    (entry,) = await engine.sql(
        "SELECT body FROM audit_record WHERE kind = 'run.undo' AND subject = %s", str(run_id)
    )
    assert json.loads(entry["body"])["detail"]["steps"] == ["make", "open"]


async def hang(job: Job) -> Outcome:
    await asyncio.Event().wait()
    raise AssertionError("never")


async def die_in_undo(engine: Engine, run_id: UUID) -> None:
    """kill -9 after the intent of ``make.undo`` is committed."""

    async def until_undo(job: Job) -> Outcome:
        return await hang(job) if job.argv[0] == "/bin/unmake" else outcome(1 if "last" in job.argv[0] else 0)

    engine.world.working = until_undo
    worker = engine.worker()
    worker.attend(run_id)
    await wait_for_async(lambda: any(job[0] == "/bin/unmake" for job in engine.world.jobs), 10)
    await engine.crash(worker)
    engine.world.working = None
    assert await engine.recover(run_id) == ["queued"]


async def test_a_worker_that_dies_in_the_middle_of_an_undo_is_taken_over(engine: Engine) -> None:
    run_id = await engine.begin(text())
    await die_in_undo(engine, run_id)
    assert (await engine.perform(run_id))["state"] == "undone"
    assert topics(engine) == ["valve/open", "pump/halt", "valve/close"]
    assert [job[0] for job in engine.world.jobs].count("/bin/unmake") == 2


async def test_an_unsafe_undo_that_was_cut_off_is_asked_about_and_not_repeated(engine: Engine) -> None:
    run_id = await engine.begin(text("effect: unsafe"))
    await die_in_undo(engine, run_id)
    await engine.perform(run_id)
    assert await engine.state(run_id) == "waiting:ambiguous"
    await sync_to_async(services.settle)(run_id, True, BOX)
    assert (await engine.perform(run_id))["state"] == "undone"
    assert [job[0] for job in engine.world.jobs].count("/bin/unmake") == 1


@pytest.mark.parametrize(("happened", "undone"), [(True, 1), (False, 0)])
async def test_an_unclear_step_is_asked_about_before_it_is_undone(
    engine: Engine, happened: bool, undone: int
) -> None:
    engine.world.working = answering(outcome(None, signal=9, timed_out=True), outcome())
    run_id = await engine.begin(text())
    await engine.perform(run_id)
    await sync_to_async(services.cancel)(run_id, BOX)
    await undo(run_id)
    await engine.perform(run_id)
    assert await engine.state(run_id) == "waiting:ambiguous"
    assert "valve/close" not in topics(engine)
    await sync_to_async(services.settle)(run_id, happened, BOX)
    assert (await engine.perform(run_id))["state"] == "undone"
    assert [job[0] for job in engine.world.jobs].count("/bin/unmake") == undone
    assert topics(engine)[-1] == "valve/close"


async def test_an_undo_that_fails_is_named_the_others_are_tried_and_it_can_be_asked_again(
    engine: Engine,
) -> None:
    failing_last(engine, outcome(3), outcome())
    run_id = await engine.begin(text())
    row = await engine.perform(run_id)
    assert row["state"] == "failed"
    assert "undo failed: make.undo: exit status 3" in row["reason"]
    assert topics(engine)[-1] == "valve/close"
    await undo(run_id)
    assert (await engine.perform(run_id))["state"] == "undone"
    assert topics(engine).count("valve/close") == 1
    assert ("make.undo", 2, "succeeded") in await engine.steps(run_id)


async def test_a_retry_of_an_undo_counts(engine: Engine) -> None:
    failing_last(engine, outcome(3), outcome())
    run_id = await engine.begin(text("retry: {attempts: 2, delay: 0s}"))
    assert (await engine.perform(run_id))["state"] == "undone"


async def test_there_must_be_something_to_take_back(engine: Engine) -> None:
    engine.world.working = answering(outcome(1))
    run_id = await engine.begin("- name: t\n  trigger: manual\n  actions: [{type: shell, args: [x]}]\n")
    with pytest.raises(services.NotNow, match="not ended yet"):
        await undo(run_id)
    await engine.perform(run_id)
    with pytest.raises(services.NotNow, match="nothing of run"):
        await undo(run_id)


async def test_a_resumed_run_undoes_only_what_it_did_itself(engine: Engine) -> None:
    engine.world.working = answering(outcome(1), outcome(), outcome(1), outcome())
    old = await engine.begin(text(on_failure=""))
    assert (await engine.perform(old))["state"] == "failed"
    new = await sync_to_async(ended.resume)(old, BOX, ended.Resume())
    assert (await engine.perform(new))["state"] == "failed"
    await undo(new)
    row = await engine.perform(new)
    assert row["state"] == "undone"
    assert f"open: not undone here, run {old} did it" in row["warning"]
    assert "valve/close" not in topics(engine)
    await undo(old)
    assert (await engine.perform(old))["state"] == "undone"
    assert topics(engine).count("valve/close") == 1


async def test_an_undone_step_cannot_be_built_upon(engine: Engine) -> None:
    failing_last(engine, outcome())
    run_id = await engine.begin(text())
    await engine.perform(run_id)
    with pytest.raises(ForkRefused, match="step open was undone"):
        await sync_to_async(ended.resume)(run_id, BOX, ended.Resume(step="last"))
