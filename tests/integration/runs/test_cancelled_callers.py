"""A run that is cancelled takes the runs that it called with it, however the ends fall together."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async

from appliance.accounts.principal import BOX
from appliance.runs import called, services, sql
from appliance.sandbox.ports import Job, Outcome
from tests.integration.runs.conftest import Engine
from tests.wait import wait_for_async

CHAIN = """
- name: deep
  trigger: manual
  actions:
    - {id: pause, type: wait, duration: 2h}
- name: child
  trigger: manual
  actions:
    - {id: call, type: task, task: deep}
- name: t
  trigger: manual
  actions:
    - {id: call, type: task, task: child}
"""
WORKING = """
- name: child
  trigger: manual
  actions:
    - {id: work, type: shell, args: [/bin/x]}
- name: t
  trigger: manual
  actions:
    - {id: said, type: mqtt, topic: a/b}
    - {id: call, type: task, task: child}
"""
cancel = sync_to_async(services.cancel)


async def below(engine: Engine, run_id: UUID) -> UUID:
    (row,) = await engine.sql("SELECT id FROM runs_run WHERE parent_run_id = %s", run_id)
    found = row["id"]
    assert isinstance(found, UUID)
    return found


async def chain(engine: Engine) -> list[UUID]:
    """A run that waits for one that waits for one that waits."""
    runs = [await engine.begin(CHAIN)]
    for _ in range(2):
        await engine.perform(runs[-1])
        runs.append(await below(engine, runs[-1]))
    await engine.perform(runs[-1])
    assert [await engine.state(one) for one in runs] == ["waiting:timer"] * 3
    return runs


async def test_all_below_end_at_once_and_say_why(engine: Engine) -> None:
    runs = await chain(engine)
    await cancel(runs[0], BOX)
    rows = [await engine.run(one) for one in runs]
    assert [row["state"] for row in rows] == ["cancelled"] * 3
    assert rows[0]["reason"] == "cancelled by box"
    for row in rows[1:]:
        assert row["reason"] == f"run {runs[0]}, which called it, ended: cancelled by box"
        assert row["finished_at"] is not None
    assert await engine.steps(runs[2]) == [("pause", 1, "failed")]


async def test_one_in_the_middle_takes_those_below_and_wakes_the_one_above(engine: Engine) -> None:
    runs = await chain(engine)
    await cancel(runs[1], BOX)
    assert [await engine.state(one) for one in runs] == ["queued", "cancelled", "cancelled"]
    assert (await engine.perform(runs[0]))["state"] == "failed"


async def test_one_that_runs_is_ended_with_its_work_and_says_why(engine: Engine) -> None:
    ended = asyncio.Event()

    async def work(job: Job) -> Outcome:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError("never")

    engine.world.working = work
    run_id = await engine.begin(WORKING)
    await engine.perform(run_id)
    child, worker = await below(engine, run_id), engine.worker()
    worker.attend(child)
    await wait_for_async(lambda: engine.world.jobs, 10)
    await cancel(run_id, BOX)
    assert await engine.state(child) == "running"
    worker.look_at([child])
    await asyncio.wait_for(ended.wait(), 10)
    await wait_for_async(lambda: worker.active == 0, 10)
    row = await engine.run(child)
    assert (row["state"], "which called it, ended" in row["reason"]) == ("cancelled", True)


async def test_one_that_is_called_while_its_caller_is_asked_to_end_ends_too(engine: Engine) -> None:
    """The caller runs when it is cancelled, and calls before its worker hears of it."""
    asked = asyncio.Event()

    async def publishing(topic: str, payload: bytes) -> None:
        await asked.wait()

    engine.world.publishing = publishing
    run_id = await engine.begin(WORKING)
    worker = engine.worker()
    worker.attend(run_id)
    await wait_for_async(lambda: engine.world.published, 10)
    await cancel(run_id, BOX)
    asked.set()
    await wait_for_async(lambda: worker.active == 0, 10)
    assert await engine.state(run_id) == "cancelled"
    assert (await engine.run(run_id))["reason"] == "cancelled by box"
    assert await engine.state(await below(engine, run_id)) == "cancelled"


async def test_a_kill_between_the_two_ends_is_repaired(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: Any) -> list[UUID]:
        raise Killed

    runs = await chain(engine)
    monkeypatch.setattr(services, "end_called", killed)
    with pytest.raises(Killed):
        await cancel(runs[0], BOX)
    assert [await engine.state(one) for one in runs[:2]] == ["cancelled", "waiting:timer"]
    assert {one.subject for one in await engine.reconciler.end_called()} == {str(one) for one in runs[1:]}
    assert [await engine.state(one) for one in runs] == ["cancelled"] * 3
    assert await engine.reconciler.end_called() == []


async def test_one_that_ends_at_the_same_moment_keeps_its_own_end(engine: Engine) -> None:
    """Its worker holds its row when the caller is cancelled: the end waits for it, and loses nothing."""
    runs = await chain(engine)
    async with engine.pool.connection() as other, other.transaction():
        await other.execute(sql.LOCK_RUN, {"id": runs[2]})
        cancelling = asyncio.ensure_future(cancel(runs[0], BOX))
        await wait_for_async(lambda: engine.state_is(runs[0], "cancelled"), 10)
        await other.execute(
            "UPDATE runs_run SET state = 'succeeded', waiting_for = '' WHERE id = %s", (runs[2],)
        )
        await other.execute(sql.WAKE_ONE, {"id": runs[1], "waiting_for": "timer"})
    await asyncio.wait_for(cancelling, 10)
    assert [await engine.state(one) for one in runs] == ["cancelled", "cancelled", "succeeded"]


@pytest.mark.parametrize("turn", range(6))
async def test_ends_that_race_leave_nothing_behind(turn: int, engine: Engine) -> None:
    run_id = await engine.begin(WORKING)
    await engine.perform(run_id)
    child, worker = await below(engine, run_id), engine.worker()
    worker.attend(child)
    for _ in range(turn * 4):
        await asyncio.sleep(0)
    await cancel(run_id, BOX)
    worker.look_at([child])
    await wait_for_async(lambda: worker.active == 0, 10)
    assert await engine.state(run_id) == "cancelled"
    assert await engine.state(child) in ("succeeded", "cancelled")


async def test_a_run_that_is_not_waited_for_goes_on(engine: Engine) -> None:
    run_id = await engine.begin(CHAIN.replace("task: child}", "task: child, wait: false}"))
    assert (await engine.perform(run_id))["state"] == "succeeded"
    assert await sync_to_async(called.end_called)(run_id, "x") == []
    assert await engine.count("runs_run WHERE state = 'queued'") == 1
