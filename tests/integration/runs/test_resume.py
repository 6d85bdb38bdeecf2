"""An ended run goes on from a step as a new run: what is finished is shared, never performed again (P5)."""

import asyncio
import json
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async

from appliance.accounts.principal import BOX
from appliance.lib.identity import uuid7
from appliance.runs import ended, services, sql
from appliance.runs.ended import Resume
from appliance.runs.fork import ForkRefused, WouldRepeat
from appliance.sandbox.ports import Job, Outcome
from tests.integration.runs.conftest import Engine, answering, outcome
from tests.integration.runs.locks import waits_for_a_lock
from tests.integration.runs.test_crashes import crash_in_step, hang
from tests.wait import wait_for_async

TASK = """
- name: t
  trigger: manual
  vars: {target: one}
  actions:
    - {id: before, type: mqtt, topic: "a/before"}
    - {id: read, type: shell, args: ["/bin/read"], effect: idempotent}
    - {id: act, type: shell, args: ["/bin/act", "{{ outputs.read }}", "{{ vars.target }}"]%s}
    - {id: after, type: mqtt, topic: "a/after"}
"""
PREFIX = [("before", 1, "succeeded"), ("read", 1, "succeeded")]


async def resume(engine: Engine, run_id: UUID, wanted: Resume | None = None) -> UUID:
    return await sync_to_async(ended.resume)(run_id, BOX, wanted or Resume())


async def failed_at_act(engine: Engine, more: str = "") -> UUID:
    engine.world.working = answering(outcome(stdout=b"value"), outcome(1), outcome(), outcome())
    run_id = await engine.begin(TASK % more)
    assert (await engine.perform(run_id))["state"] == "failed"
    return run_id


async def test_a_failed_run_goes_on_where_it_stopped_with_the_outputs_of_the_finished_part(
    engine: Engine,
) -> None:
    old = await failed_at_act(engine)
    new = await resume(engine, old)
    row = await engine.perform(new)
    assert (row["state"], row["forked_from"], row["forked_at_step"]) == ("succeeded", old, "act")
    assert engine.world.jobs == [("/bin/read",), *[("/bin/act", "value", "one")] * 2]
    assert [topic for topic, _ in engine.world.published] == ["a/before", "a/after"]
    assert await engine.steps(new) == [*PREFIX, ("act", 1, "succeeded"), ("after", 1, "succeeded")]


async def test_the_old_run_stays_as_it_was(engine: Engine) -> None:
    old = await failed_at_act(engine)
    before = [await engine.run(old), await engine.sql("SELECT * FROM runs_step WHERE run_id = %s", old)]
    await engine.perform(await resume(engine, old))
    after = [await engine.run(old), await engine.sql("SELECT * FROM runs_step WHERE run_id = %s", old)]
    assert before == after


async def test_changed_vars_are_seen_by_the_later_steps_only(engine: Engine) -> None:
    old = await failed_at_act(engine)
    await engine.perform(await resume(engine, old, Resume(vars={"target": "two"})))
    assert engine.world.jobs[-1] == ("/bin/act", "value", "two")
    with pytest.raises(ForkRefused, match="no variable 'other'"):
        await resume(engine, old, Resume(vars={"other": 1}))


async def test_a_worker_that_dies_in_the_resumed_run_repeats_nothing_of_the_shared_part(
    engine: Engine,
) -> None:
    old = await failed_at_act(engine, ", effect: idempotent")
    new = await resume(engine, old)
    await crash_in_step(engine, new)
    assert (await engine.perform(new))["state"] == "succeeded"
    assert [job[0] for job in engine.world.jobs].count("/bin/read") == 1
    assert [topic for topic, _ in engine.world.published] == ["a/before", "a/after"]


async def test_a_resumed_run_can_be_resumed_itself(engine: Engine) -> None:
    old = await failed_at_act(engine)
    engine.world.working = answering(outcome(1), outcome())
    second = await resume(engine, old)
    assert (await engine.perform(second))["state"] == "failed"
    third = await resume(engine, second)
    assert (await engine.perform(third))["state"] == "succeeded"
    shared = await engine.sql("SELECT step, shared_from FROM runs_step WHERE run_id = %s", third)
    assert {(one["step"], one["shared_from"]) for one in shared if one["shared_from"]} == {
        ("before", old),
        ("read", old),
    }


async def test_doing_something_unsafe_again_has_to_be_wanted(engine: Engine) -> None:
    run_id = await engine.begin(TASK % "")
    assert (await engine.perform(run_id))["state"] == "succeeded"
    with pytest.raises(WouldRepeat, match="act"):
        await resume(engine, run_id, Resume(step="read"))
    assert await engine.count("runs_run") == 1
    new = await resume(engine, run_id, Resume(step="read", repeat_unsafe=True))
    assert (await engine.perform(new))["state"] == "succeeded"
    assert [job[0] for job in engine.world.jobs] == ["/bin/read", "/bin/act"] * 2
    fork = await resume(engine, run_id, Resume(step="after"))
    assert (await engine.perform(fork))["state"] == "succeeded"
    assert len(engine.world.jobs) == 4


async def test_a_run_that_waits_for_an_answer_is_ended_when_a_person_goes_on_instead(engine: Engine) -> None:
    run_id = await engine.begin(TASK % "")
    engine.world.working = answering(outcome(), outcome(None, signal=9, timed_out=True), outcome())
    await engine.perform(run_id)
    assert await engine.state(run_id) == "waiting:ambiguous"
    with pytest.raises(WouldRepeat):
        await resume(engine, run_id)
    new = await resume(engine, run_id, Resume(repeat_unsafe=True))
    row = await engine.run(run_id)
    assert row["state"] == "cancelled"
    assert str(new) in row["reason"]
    assert ("act", 1, "ambiguous") in await engine.steps(run_id)
    assert (await engine.perform(new))["state"] == "succeeded"


async def test_a_run_under_way_cannot_be_resumed(engine: Engine) -> None:
    run_id = await engine.begin(TASK % "")
    with pytest.raises(services.NotNow, match="queued"):
        await resume(engine, run_id)


async def test_a_cancelled_run_goes_on_from_the_step_that_was_cut_off(engine: Engine) -> None:
    run_id = await engine.begin(TASK.replace("effect: idempotent", "effect: pure") % ", effect: idempotent")
    await crash_after_read(engine, run_id)
    await sync_to_async(services.cancel)(run_id, BOX)
    assert ("act", 1, "failed") in await engine.steps(run_id)
    new = await resume(engine, run_id)
    assert (await engine.perform(new))["state"] == "succeeded"
    assert [job[0] for job in engine.world.jobs] == ["/bin/read", "/bin/act", "/bin/act"]


async def crash_after_read(engine: Engine, run_id: UUID) -> None:
    """A worker dies in ``act``; the run is queued again."""

    async def work(job: Job) -> Outcome:
        return outcome(stdout=b"value") if job.argv[0] == "/bin/read" else await hang(job)

    worker, engine.world.working = engine.worker(), work
    worker.attend(run_id)
    await wait_for_async(lambda: len(engine.world.jobs) == 2, 10, "act has begun")
    await engine.crash(worker)
    engine.world.working = None
    assert await engine.recover(run_id) == ["queued"]


async def test_a_version_that_cannot_be_read_is_said(engine: Engine) -> None:
    run_id = await failed_at_act(engine)
    await engine.sql('UPDATE tasks_taskversion SET definition = \'{"name": "t", "oops": 1}\'')
    with pytest.raises(ForkRefused, match="cannot be read"):
        await resume(engine, run_id)


async def test_a_receipt_settles_every_run_that_shares_the_message(engine: Engine) -> None:
    tell = "- {id: tell, type: notification, platform: loopback, message: hello}"
    engine.world.working = answering(outcome(1), outcome())
    old = await engine.begin(
        f"- name: t\n  trigger: manual\n  actions:\n    {tell}\n    - {{id: act, type: shell, args: [x]}}\n"
    )
    assert (await engine.perform(old))["state"] == "failed"
    new = await resume(engine, old)
    await engine.perform(new)
    assert await engine.state(new) == "waiting:delivery"
    assert await engine.count("outbox_item") == 1
    await engine.receipts.delivered(old, "tell", {})
    assert await engine.state(new) == "succeeded"
    assert await engine.state(old) == "failed"


async def test_a_run_that_is_resumed_while_a_receipt_waits_gets_it_too(engine: Engine) -> None:
    """The receipt looked for who shares the message before that run was there, and looks again."""
    tell = "- {id: tell, type: notification, platform: loopback, message: hello}"
    engine.world.working = answering(outcome(1), outcome())
    old = await engine.begin(
        f"- name: t\n  trigger: manual\n  actions:\n    {tell}\n    - {{id: act, type: shell, args: [x]}}\n"
    )
    await engine.perform(old)
    second = await resume(engine, old)
    await engine.perform(second)
    third = uuid7()
    async with engine.pool.connection() as connection, connection.transaction():
        await connection.execute(sql.LOCK_RUN, {"id": second})
        receipt = asyncio.create_task(engine.receipts.delivered(old, "tell", {}))
        await wait_for_async(lambda: waits_for_a_lock(engine), 10, "the receipt waits for the second run")
        for table, key in (("runs_run", "id"), ("runs_step", "run_id")):
            await connection.execute(
                f"INSERT INTO {table} SELECT (jsonb_populate_record(t, jsonb_build_object('{key}', %s::text))).*"
                f" FROM {table} t WHERE {key} = %s",
                (third, second),
            )
    await receipt
    assert [await engine.state(run) for run in (second, third)] == ["succeeded", "succeeded"]


async def test_who_resumed_what_is_on_the_audit_record(engine: Engine) -> None:
    old = await failed_at_act(engine)
    new = await resume(engine, old)
    (entry,) = await engine.sql(
        "SELECT body FROM audit_record WHERE kind = 'run.resumed' AND subject = %s", str(new)
    )
    detail = json.loads(entry["body"])["detail"]
    assert (detail["of"], detail["step"], detail["shared"]) == (str(old), "act", ["before", "read"])
    assert json.loads(entry["body"])["subject"] == str(new)


async def test_a_run_of_which_nobody_knows_what_it_did_is_not_gone_on_with(engine: Engine) -> None:
    """Its steps are gone: no step that took effect could be told, and all would be performed again."""
    old = await failed_at_act(engine)
    await engine.sql("DELETE FROM runs_step WHERE run_id = %s", old)
    with pytest.raises(ForkRefused, match="not known"):
        await resume(engine, old)
    with pytest.raises(ForkRefused, match="not known"):
        await resume(engine, old, Resume(step="before", repeat_unsafe=True))


async def test_a_run_that_never_began_is_gone_on_with_from_its_first_step(engine: Engine) -> None:
    old = await engine.begin(TASK % "")
    await sync_to_async(services.cancel)(old, BOX)
    new = await resume(engine, old)
    assert (await engine.run(new))["forked_at_step"] == "before"
