"""One run, one worker: claims, fencing and conditional writes (P4)."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from appliance.actions.contract import EffectClass
from appliance.lib.clock import Moment, SystemClock
from appliance.processes.parts import DefinitionCache
from appliance.runs.domain import Lease, RunState, StepState
from appliance.runs.ledger import Ledger
from appliance.runs.performer import PROOF_HOLDS, Performer
from appliance.runs.plan import Phase
from appliance.runs.release import Release
from appliance.runs.rows import LeaseLost, RunRow, StepWrite
from appliance.runs.steps import write_steps
from appliance.runs.walk import Pause
from appliance.safety.gate import Gate
from tests.integration.runs.conftest import Engine
from tests.integration.runs.locks import waits_for_a_lock
from tests.wait import wait_for_async

TASK = """
- name: t
  trigger: manual
  actions: [{id: a, type: set, value: 1}]
"""


def lease_of(ledger: Ledger, row: RunRow) -> Lease:
    return Lease(row.id, ledger.owner, row.epoch, Moment.of(SystemClock()))


def write(state: StepState = StepState.SUCCEEDED, output: str = "mine") -> StepWrite:
    return StepWrite(
        step="a",
        attempt=1,
        position=0,
        phase=Phase.ACTIONS,
        kind="set",
        effect=EffectClass.PURE,
        state=state,
        started_at=SystemClock().now(),
        output=output,
    )


async def stale_and_new(engine: Engine) -> tuple[Ledger, Lease, Ledger, Lease]:
    """A worker that lost its run without noticing, and the one that has it now."""
    run_id = await engine.begin(TASK)
    old, new = engine.ledger(), engine.ledger()
    first = await old.claim(run_id)
    assert first
    await engine.recover(run_id)
    second = await new.claim(run_id)
    assert second
    return old, lease_of(old, first), new, lease_of(new, second)


async def test_of_many_claims_at_once_exactly_one_wins(engine: Engine) -> None:
    run_id = await engine.begin(TASK)
    claims = await asyncio.gather(*(engine.ledger().claim(run_id) for _ in range(20)))
    assert sum(row is not None for row in claims) == 1


async def test_many_workers_attending_the_same_runs_perform_each_step_once(engine: Engine) -> None:
    await engine.load(TASK.replace("{id: a, type: set, value: 1}", "{id: a, type: mqtt, topic: a/b}"))
    runs = [await engine.start("t") for _ in range(10)]
    workers = [engine.worker() for _ in range(4)]
    for run_id in runs:
        for worker in workers:
            worker.attend(run_id)
            worker.attend(run_id)
    await wait_for_async(lambda: not any(worker.active for worker in workers), 20)
    assert {await engine.state(run_id) for run_id in runs} == {"succeeded"}
    assert len(engine.world.published) == len(runs)


async def test_each_claim_has_a_higher_fencing_token(engine: Engine) -> None:
    _, stale, _, fresh = await stale_and_new(engine)
    assert fresh.epoch > stale.epoch


async def test_a_stale_worker_cannot_write_a_step(engine: Engine) -> None:
    old, stale, new, fresh = await stale_and_new(engine)
    with pytest.raises(LeaseLost):
        async with old.transaction() as connection:
            await write_steps(connection, stale, "t", [write()])
    assert await engine.steps(stale.run_id) == []
    async with new.transaction() as connection:
        await write_steps(connection, fresh, "t", [write()])
    assert await engine.steps(stale.run_id) == [("a", 1, "succeeded")]


async def test_a_stale_worker_cannot_end_the_run_and_none_of_its_last_rows_stay(engine: Engine) -> None:
    old, stale, _, _ = await stale_and_new(engine)
    before = await engine.count("events_event")
    with pytest.raises(LeaseLost):
        await old.release(stale, "t", Release(RunState.SUCCEEDED))
    with pytest.raises(LeaseLost):
        await old.release(stale, "t", Release(RunState.FAILED, writes=[write(StepState.FAILED)]))
    assert await engine.state(stale.run_id) == "running"
    assert await engine.steps(stale.run_id) == []
    assert await engine.count("events_event") == before


async def test_a_stale_worker_cannot_overwrite_what_the_new_one_wrote(engine: Engine) -> None:
    old, stale, new, fresh = await stale_and_new(engine)
    async with new.transaction() as connection:
        await write_steps(connection, fresh, "t", [write(output="new")])
    with pytest.raises(LeaseLost):
        async with old.transaction() as connection:
            await write_steps(connection, stale, "t", [write(output="old")])
    (row,) = await engine.sql("SELECT output FROM runs_step WHERE run_id = %s", stale.run_id)
    assert row["output"] == "new"


async def test_a_worker_is_stale_as_soon_as_its_run_is_queued_again(engine: Engine) -> None:
    run_id = await engine.begin(TASK)
    old = engine.ledger()
    row = await old.claim(run_id)
    assert row
    await engine.recover(run_id)
    with pytest.raises(LeaseLost):
        await old.release(lease_of(old, row), "t", Release(RunState.SUCCEEDED))
    assert await engine.state(run_id) == "queued"


async def test_a_write_under_way_holds_the_run_so_that_nobody_takes_it_between_look_and_commit(
    engine: Engine,
) -> None:
    """Else the new owner would read the steps before the old one's result is there, and perform it again."""
    run_id = await engine.begin(TASK)
    old, new = engine.ledger(), engine.ledger()
    row = await old.claim(run_id)
    assert row
    await engine.expire(run_id)
    async with old.transaction() as connection:
        await write_steps(connection, lease_of(old, row), "t", [write()])
        recovering = asyncio.create_task(engine.reconciler.recover())
        await wait_for_async(
            lambda: waits_for_a_lock(engine), 10, "the recovery waits for the write that is under way"
        )
        assert not recovering.done()
    assert len(await recovering) == 1
    assert await new.claim(run_id)
    assert [(step.step, step.state) for step in await new.steps(run_id)] == [("a", StepState.SUCCEEDED)]


async def test_a_renewal_by_the_wrong_life_prolongs_nothing(engine: Engine) -> None:
    old, stale, new, fresh = await stale_and_new(engine)
    assert await old.renew([stale]) == {}
    assert await new.renew([fresh]) == {fresh.run_id: False}


async def test_a_worker_that_lost_its_lease_stops_its_work(engine: Engine) -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def slow(topic: str, payload: bytes) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    engine.world.publishing = slow
    run_id = await engine.begin(
        TASK.replace("{id: a, type: set, value: 1}", "{id: a, type: mqtt, topic: a/b}")
    )
    worker = engine.worker()
    worker.attend(run_id)
    await asyncio.wait_for(started.wait(), 10)
    await engine.recover(run_id)
    worker.look_at([run_id])
    await asyncio.wait_for(ended.wait(), 10)
    await wait_for_async(lambda: worker.active == 0)
    assert await engine.state(run_id) == "queued"


@pytest.mark.parametrize(
    "kind", ["set, value: 1", "mqtt, topic: a/b", "shell, effect: unsafe, args: [/bin/act]"]
)
async def test_a_worker_that_stood_still_past_its_lease_looks_at_it_before_it_acts(
    engine: Engine, kind: str
) -> None:
    """What the new owner did in the meantime is not done once more, though nothing was written yet."""
    run_id = await engine.begin(TASK.replace("set, value: 1", kind))
    old, asked = engine.ledger(), Moment.of(engine.clock)
    row = await old.claim(run_id)
    assert row
    standing = StandingStill(old, Gate(engine.home), engine.world, engine.clock, DefinitionCache().get)
    work = asyncio.create_task(standing.perform(row, Lease(row.id, old.owner, row.epoch, asked)))
    await asyncio.wait_for(standing.there.wait(), 10)
    await engine.recover(run_id)
    await engine.perform(run_id)
    acted = [*engine.world.published, *engine.world.jobs]
    engine.clock.advance(timedelta(seconds=PROOF_HOLDS + 1))
    standing.go_on.set()
    with pytest.raises(LeaseLost):
        await work
    assert [*engine.world.published, *engine.world.jobs] == acted


async def test_a_worker_that_stood_still_and_has_its_run_still_goes_on(engine: Engine) -> None:
    run_id = await engine.begin(TASK.replace("set, value: 1", "mqtt, topic: a/b"))
    ledger, asked = engine.ledger(), Moment.of(engine.clock)
    row = await ledger.claim(run_id)
    assert row
    standing = StandingStill(ledger, Gate(engine.home), engine.world, engine.clock, DefinitionCache().get)
    work = asyncio.create_task(standing.perform(row, Lease(row.id, ledger.owner, row.epoch, asked)))
    await asyncio.wait_for(standing.there.wait(), 10)
    engine.clock.advance(timedelta(hours=1))
    standing.go_on.set()
    await work
    assert (await engine.state(run_id), len(engine.world.published)) == ("succeeded", 1)


class StandingStill(Performer):
    """Stops between the intent of its step and the look at its lease."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.there, self.go_on = asyncio.Event(), asyncio.Event()

    async def _act(self, *rest: Any) -> Pause | None:
        self.there.set()
        await self.go_on.wait()
        return await super()._act(*rest)


async def test_a_heartbeat_between_the_end_of_a_run_and_the_end_of_its_work_takes_nothing_for_lost(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What follows the commit, the next turns among it, is not cut off."""
    committed, go_on = asyncio.Event(), asyncio.Event()

    class Slow(Ledger):
        async def release(self, *given: Any, **more: Any) -> RunState:
            state = await super().release(*given, **more)
            committed.set()
            await go_on.wait()
            followed.append(state)
            return state

    followed: list[RunState] = []
    monkeypatch.setattr("tests.integration.runs.conftest.Ledger", Slow)
    run_id = await engine.begin(TASK)
    worker = engine.worker()
    worker.attend(run_id)
    await asyncio.wait_for(committed.wait(), 10)
    await worker._renew()
    go_on.set()
    await wait_for_async(lambda: worker.active == 0)
    assert followed == [RunState.SUCCEEDED]
    assert "lease lost" not in caplog.text


async def test_a_queued_run_is_found_though_every_hint_was_lost(engine: Engine) -> None:
    run_id = await engine.begin(TASK)
    worker = engine.worker()
    await worker.start()
    try:
        await wait_for_async(lambda: _is(engine, run_id, "succeeded"), 10)
    finally:
        await worker.drain(1)


async def _is(engine: Engine, run_id: UUID, state: str) -> bool:
    return await engine.state(run_id) == state


async def test_a_worker_that_stops_takes_nothing_new_and_leaves_the_rest_to_recovery(engine: Engine) -> None:
    release = asyncio.Event()

    async def slow(topic: str, payload: bytes) -> None:
        await release.wait()

    engine.world.publishing = slow
    text = TASK.replace("{id: a, type: set, value: 1}", "{id: a, type: mqtt, topic: a/b}")
    first, second = await engine.begin(text), await engine.start("t")
    worker = engine.worker()
    worker.attend(first)
    await wait_for_async(lambda: engine.world.published, 10)
    await worker.drain(0)
    worker.attend(second)
    assert worker.active == 0
    assert (await engine.state(first), await engine.state(second)) == ("running", "queued")
    release.set()
    await engine.recover(first)
    for run_id in (first, second):
        assert (await engine.perform(run_id))["state"] == "succeeded"
