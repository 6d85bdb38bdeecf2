"""Runs that are stopped: by a person, by the all-stop, by the gate."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from psycopg import AsyncConnection

from appliance.accounts.domain import Role
from appliance.accounts.principal import BOX, Principal
from appliance.lib.clock import Moment
from appliance.processes.parts import DefinitionCache
from appliance.runs import services
from appliance.runs.domain import Lease
from appliance.runs.executor import Executor
from appliance.runs.performer import Performer
from appliance.runs.renderer import Renderer
from appliance.runs.walk import Walk
from appliance.safety import allstop
from appliance.safety.gate import Action, Gate, Look
from appliance.safety.stop import Level, StopFile
from appliance.sandbox.ports import Job, Outcome
from appliance.tasks.definition import StepSpec
from tests.integration.runs.conftest import Engine, answering, outcome, task
from tests.integration.runs.locks import waits_for_a_lock
from tests.wait import wait_for_async


async def test_a_queued_or_waiting_run_ends_at_once_when_cancelled(engine: Engine) -> None:
    queued = await engine.begin(task("    - {id: pause, type: wait, duration: 2h}\n"))
    waiting = await engine.start("t")
    await engine.perform(waiting)
    for run_id in (queued, waiting):
        await sync_to_async(services.cancel)(run_id, BOX)
        row = await engine.run(run_id)
        assert (row["state"], row["finished_at"] is not None) == ("cancelled", True)
        with pytest.raises(services.NotNow):
            await sync_to_async(services.cancel)(run_id, BOX)


async def test_a_running_run_is_stopped_with_its_work(engine: Engine) -> None:
    ended = asyncio.Event()

    async def work(job: Job) -> Outcome:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError("never")

    engine.world.working = work
    run_id = await engine.begin(
        task("    - {id: a, type: shell, args: [/bin/x]}\n    - {id: b, type: mqtt, topic: a/b}\n")
    )
    worker = engine.worker()
    worker.attend(run_id)
    await wait_for_async(lambda: engine.world.jobs, 10)
    await sync_to_async(services.cancel)(run_id, BOX)
    worker.look_at([run_id])
    await asyncio.wait_for(ended.wait(), 10)
    await wait_for_async(lambda: worker.active == 0, 10)
    assert await engine.state(run_id) == "cancelled"
    assert engine.world.published == []


async def test_a_cancellation_that_meets_a_run_on_its_way_to_sleep_is_not_forgotten(engine: Engine) -> None:
    """It was asked for while the run was running, and the run went to wait before anybody looked."""
    asked = asyncio.Event()

    async def publishing(topic: str, payload: bytes) -> None:
        await asked.wait()

    engine.world.publishing = publishing
    run_id = await engine.begin(
        task("    - {id: a, type: mqtt, topic: a/b}\n    - {id: pause, type: wait, duration: 7d}\n")
    )
    worker = engine.worker()
    worker.attend(run_id)
    await wait_for_async(lambda: engine.world.published, 10)
    await sync_to_async(services.cancel)(run_id, BOX)
    asked.set()
    await wait_for_async(lambda: worker.active == 0, 10)
    assert await engine.state(run_id) == "cancelled"


async def test_an_ambiguous_run_can_be_cancelled(engine: Engine) -> None:
    engine.world.working = answering(outcome(None, signal=9, timed_out=True))
    run_id = await engine.begin(task("    - {id: a, type: shell, args: [/bin/x]}\n"))
    await engine.perform(run_id)
    await sync_to_async(services.cancel)(run_id, BOX)
    assert await engine.state(run_id) == "cancelled"


async def test_the_all_stop_holds_effects_and_lets_them_go_when_released(engine: Engine) -> None:
    run_id = await engine.begin(
        task("    - {id: a, type: set, value: 1}\n    - {id: b, type: mqtt, topic: a/b}\n")
    )
    await sync_to_async(allstop.engage)(Level.FREEZE, "smoke", BOX, engine.clock.now())
    await engine.perform(run_id)
    assert await engine.state(run_id) == "waiting:all_stop"
    assert engine.world.published == []
    assert await engine.steps(run_id) == [("a", 1, "succeeded")]
    await engine.pass_time(run_id, timedelta(minutes=1))
    await engine.reconciler.wake_due()
    await engine.perform(run_id)
    assert await engine.state(run_id) == "waiting:all_stop"
    await sync_to_async(allstop.release)("over", Principal("user:ana", Role.ADMIN), engine.clock.now())
    await engine.pass_time(run_id, timedelta(minutes=1))
    await engine.reconciler.wake_due()
    assert (await engine.perform(run_id))["state"] == "succeeded"
    assert len(engine.world.published) == 1


async def test_a_stop_that_commits_while_an_intent_waits_for_it_holds_the_effect(engine: Engine) -> None:
    """The intent's statement began before, and sees the switch as it was."""
    run_id = await engine.begin(task("    - {id: a, type: mqtt, topic: a/b}\n"))
    worker = engine.worker()
    async with engine.pool.connection() as stopping, stopping.transaction():
        await stopping.execute("SELECT FROM audit_head FOR UPDATE")
        worker.attend(run_id)
        await wait_for_async(lambda: waits_for_a_lock(engine), 10, "the intent waits for the head")
        StopFile(engine.home).write(Level.FREEZE, "ana", "smoke")
    await wait_for_async(lambda: worker.active == 0, 10)
    assert await engine.state(run_id) == "waiting:all_stop"
    assert await engine.steps(run_id) == [("a", 1, "waiting")]
    assert engine.world.published == []
    StopFile(engine.home).remove()
    await engine.pass_time(run_id, timedelta(minutes=1))
    await engine.reconciler.wake_due()
    assert (await engine.perform(run_id))["state"] == "succeeded"
    assert await engine.steps(run_id) == [("a", 1, "succeeded")]
    assert len(engine.world.published) == 1


async def test_what_the_gate_denies_is_not_done_and_fails_with_the_reason(engine: Engine) -> None:
    run_id = await engine.begin(task("    - {id: a, type: mqtt, topic: a/b, retry: 5}\n", principal="viewer"))
    row = await engine.perform(run_id)
    assert row["state"] == "failed"
    assert "refused: " in row["reason"]
    assert engine.world.published == []


async def test_an_intent_and_its_audit_record_stand_before_the_effect(engine: Engine) -> None:
    seen: list[tuple[int, int]] = []

    async def publishing(topic: str, payload: bytes) -> None:
        seen.append(
            (
                await engine.count("runs_step WHERE state = 'intent'"),
                await engine.count(
                    "audit_record WHERE kind = 'step.intent' AND principal = 'box' AND seq > 0"
                ),
            )
        )

    engine.world.publishing = publishing
    before = await engine.count("audit_record WHERE kind = 'step.intent' AND principal = 'box' AND seq > 0")
    run_id = await engine.begin(task("    - {id: a, type: mqtt, topic: a/b}\n"))
    await engine.perform(run_id)
    assert seen == [(1, before + 1)]


@pytest.mark.parametrize("after", [0.0, 0.01])
async def test_a_transaction_that_is_cut_off_leaves_no_answers_to_the_next(
    engine: Engine, after: float
) -> None:
    ledger = engine.ledger()

    async def work() -> None:
        async with ledger.transaction() as connection:
            for number in range(50):
                await connection.execute("SELECT %s, pg_sleep(0.002)", (number,))
            await (await connection.execute("SELECT 1")).fetchone()

    for _ in range(4):
        cut_off = [asyncio.create_task(work()) for _ in range(10)]
        await asyncio.sleep(after)
        for one in cut_off:
            one.cancel()
        await asyncio.gather(*cut_off, return_exceptions=True)
        for number in range(10):
            assert await engine.sql("SELECT %s::int AS n", number) == [{"n": number}]


class Looking(Gate):
    """Counts the statements that it makes of its own."""

    looks = 0

    async def look(self, connection: AsyncConnection[Any], action: Action) -> Look:
        self.looks += 1
        return await super().look(connection, action)


async def test_what_the_claim_brought_is_not_asked_for_again(engine: Engine) -> None:
    gate = Looking(engine.home)
    performer = Performer(engine.ledger(), gate, engine.world, engine.clock, DefinitionCache().get)
    for looks in (1, 1):  # the first run reads the policy with it, the second knows it
        run_id = await engine.begin(
            task("    - {id: a, type: shell, args: [/bin/x]}\n    - {id: b, type: mqtt, topic: a/b}\n")
        )
        ledger = engine.ledger()
        row = await ledger.claim(run_id)
        assert row is not None
        await performer.perform(row, Lease(row.id, ledger.owner, row.epoch, Moment.of(engine.clock)))
        assert (await engine.run(run_id))["state"] == "succeeded"
        assert gate.looks == looks


@pytest.mark.parametrize("known", [False, True], ids=["reads the policy", "knows the policy"])
async def test_a_stop_between_the_claim_and_the_intent_counts(engine: Engine, known: bool) -> None:
    """The claim brings the switch along; what was decided on it is not written once it has changed."""
    run_id = await engine.begin(task("    - {id: a, type: shell, args: [/bin/x]}\n"))
    ledger, gate = engine.ledger(), Gate(engine.home)
    if known:
        async with engine.pool.connection() as connection:
            await gate.follow(connection)
    row = await ledger.claim(run_id)
    assert row is not None
    await sync_to_async(allstop.engage)(
        Level.FREEZE, "drill", BOX, engine.clock.now(), engine.home / "elsewhere"
    )
    performer = Performer(ledger, gate, engine.world, engine.clock, DefinitionCache().get)
    await performer.perform(row, Lease(row.id, ledger.owner, row.epoch, Moment.of(engine.clock)))
    assert engine.world.jobs == []
    assert (await engine.run(run_id))["waiting_for"] == "all_stop"
    assert await engine.count("runs_step") == 0
    assert await engine.sql("SELECT 1 FROM audit_record WHERE subject = %s", f"{run_id}/a") == []


async def test_a_result_and_the_next_intent_are_one_transaction(engine: Engine) -> None:
    """A stop that comes with an effect: its result is kept, and the next step is not begun."""

    async def work(job: Job) -> Outcome:
        await sync_to_async(allstop.engage)(Level.FREEZE, "drill", BOX, engine.clock.now(), engine.home / "x")
        return outcome(stdout=b"done")

    engine.world.working = work
    run_id = await engine.begin(
        task("    - {id: a, type: shell, args: [/bin/x]}\n    - {id: b, type: mqtt, topic: a/b}\n")
    )
    await engine.perform(run_id)
    assert (await engine.run(run_id))["waiting_for"] == "all_stop"
    assert await engine.steps(run_id) == [("a", 1, "succeeded")]
    assert engine.world.published == []


@pytest.mark.parametrize("ending", ["person", "drain"])
async def test_what_is_known_of_an_unsafe_step_is_kept_when_the_run_is_ended_behind_it(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    """Its result waits for the next statement; whoever ends the run before writes it with the end."""
    between, scope = asyncio.Event(), Renderer.scope

    async def slow(self: Renderer, walk: Walk, spec: StepSpec) -> Any:
        if spec.id == "b":
            between.set()
            await asyncio.Event().wait()
        return await scope(self, walk, spec)

    monkeypatch.setattr(Renderer, "scope", slow)
    steps = "    - {id: a, type: shell, args: [/bin/x]}\n    - {id: b, type: mqtt, topic: a/b}\n"
    run_id = await engine.begin(task(steps))
    worker = engine.worker()
    worker.attend(run_id)
    await asyncio.wait_for(between.wait(), 10)
    if ending == "person":
        await sync_to_async(services.cancel)(run_id, BOX)
        worker.look_at([run_id])
        await wait_for_async(lambda: worker.active == 0, 10)
        assert await engine.state(run_id) == "cancelled"
    else:
        await worker.drain(0)
    assert await engine.steps(run_id) == [("a", 1, "succeeded")]


async def test_the_file_alone_ends_what_runs_from_kill_on(engine: Engine) -> None:
    """Nothing of it is in the database: it may be away."""
    ended = asyncio.Event()

    async def work(job: Job) -> Outcome:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError("never")

    engine.world.working = work
    run_id = await engine.begin(task("    - {id: a, type: shell, args: [/bin/x], effect: idempotent}\n"))
    performer = Performer(engine.ledger(), engine.gate(), engine.world, engine.clock, DefinitionCache().get)
    file = StopFile(engine.home)
    worker = Executor(engine.ledger(), performer, engine.clock, stop_file=file)
    await worker.start()
    try:
        worker.attend(run_id)
        await wait_for_async(lambda: engine.world.jobs, 10)
        file.path.write_text("freeze")
        await asyncio.sleep(0.3)  # nothing must happen: there is no condition to wait for
        assert not ended.is_set()
        file.path.write_text("kill")
        await asyncio.wait_for(ended.wait(), 1.0)
        await wait_for_async(lambda: worker.active == 0, 10)
        assert await engine.state(run_id) == "waiting:all_stop"
    finally:
        await worker.drain(0)
