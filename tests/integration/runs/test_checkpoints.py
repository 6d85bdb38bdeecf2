"""What a step saves while it runs comes back after a crash, on a retry and in a resumed run (P5)."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async
from psycopg import OperationalError

from appliance.accounts.principal import BOX
from appliance.actions.contract import ActionKind, EffectClass, Form, Params, StepContext, StepResult
from appliance.actions.registry import registry
from appliance.lib.clock import Moment
from appliance.lib.jsontypes import JsonObject
from appliance.runs import ended
from appliance.runs.checkpoints import CheckpointStore, Kept
from appliance.runs.domain import Lease
from appliance.runs.rows import LeaseLost
from appliance.sandbox.ports import Job, Outcome
from tests.integration.runs.conftest import Engine, outcome
from tests.integration.runs.test_crashes import hang
from tests.spawner import RunningSpawner, start_spawner
from tests.wait import wait_for_async

TASK = """
- name: t
  trigger: manual
  HEADER
  actions:
    - {id: long, type: shell, args: [/bin/long], effect: EFFECT}
    - {id: after, type: mqtt, topic: a/after}
"""


def text(effect: str = "idempotent", header: str = "", more: str = "") -> str:
    return TASK.replace("EFFECT", effect + more).replace("HEADER", header)


def saving(*contents: bytes, then: Callable[[Job], Awaitable[Outcome]] = hang) -> Any:
    """A command that keeps these and then does something else."""

    async def work(job: Job) -> Outcome:
        assert job.checkpoint is not None
        for content in contents:
            await job.checkpoint.keep(content)
        return await then(job)

    return work


async def failing(job: Job) -> Outcome:
    return outcome(1)


async def kept(engine: Engine, run_id: UUID) -> list[tuple[int, bytes]]:
    rows = await engine.sql("SELECT number, content FROM runs_checkpoint WHERE run_id = %s", run_id)
    return sorted((row["number"], bytes(row["content"])) for row in rows)


async def engine_keeps(engine: Engine, run_id: UUID, count: int) -> None:
    async def enough() -> bool:
        return len(await kept(engine, run_id)) >= count

    await wait_for_async(enough, 10, f"{count} checkpoints are kept")


async def crash(engine: Engine, run_id: UUID, *contents: bytes) -> None:
    worker, engine.world.working = engine.worker(), saving(*contents)
    before = len(await kept(engine, run_id))
    worker.attend(run_id)
    await engine_keeps(engine, run_id, before + len(contents))
    await engine.crash(worker)
    engine.world.working = None
    assert await engine.recover(run_id) == ["queued"]


def given_back(engine: Engine) -> bytes | None:
    last = engine.world.given[-1].checkpoint
    return last.initial if last else None


async def test_a_step_that_may_run_again_gets_its_last_checkpoint_after_a_crash(engine: Engine) -> None:
    run_id = await engine.begin(text())
    await crash(engine, run_id, b"10", b"20")
    assert (await engine.perform(run_id))["state"] == "succeeded"
    assert given_back(engine) == b"20"
    assert engine.world.given[0].checkpoint is not None
    assert engine.world.given[0].checkpoint.initial is None


async def test_a_checkpoint_does_not_make_an_unsafe_step_safe(engine: Engine) -> None:
    run_id = await engine.begin(text("unsafe"))
    await crash(engine, run_id, b"10")
    await engine.perform(run_id)
    assert await engine.state(run_id) == "waiting:ambiguous"
    assert len(engine.world.jobs) == 1
    new = await sync_to_async(ended.resume)(run_id, BOX, ended.Resume(repeat_unsafe=True))
    assert (await engine.perform(new))["state"] == "succeeded"
    assert given_back(engine) == b"10"


async def test_a_retry_goes_on_from_it(engine: Engine) -> None:
    engine.world.working = saving(b"half", then=failing)
    run_id = await engine.begin(text(more=", retry: {attempts: 2, delay: 0s}"))
    await engine.perform(run_id)
    assert [job.checkpoint.initial for job in engine.world.given if job.checkpoint] == [None, b"half"]


async def test_the_newest_few_are_kept_and_equal_ones_once(engine: Engine) -> None:
    engine.world.working = saving(b"a", b"b", b"c", b"d", b"b", then=failing)
    run_id = await engine.begin(text(header="checkpoints: {keep: 2}"))
    await engine.perform(run_id)
    assert await kept(engine, run_id) == [(4, b"d"), (5, b"b")]


async def test_any_kept_one_can_be_gone_on_from(engine: Engine) -> None:
    engine.world.working = saving(b"a", b"b", then=failing)
    run_id = await engine.begin(text())
    await engine.perform(run_id)
    engine.world.working = None
    new = await sync_to_async(ended.resume)(run_id, BOX, ended.Resume(checkpoint=1))
    assert (await engine.perform(new))["state"] == "succeeded"
    assert given_back(engine) == b"a"
    fresh = await sync_to_async(ended.resume)(run_id, BOX, ended.Resume(step="long"))
    await engine.perform(fresh)
    assert given_back(engine) is None


async def test_the_limit_of_the_task_is_the_sandbox_s(engine: Engine) -> None:
    run_id = await engine.begin(text(header="checkpoints: {limit: 2}"))
    await engine.perform(run_id)
    assert engine.world.given[0].checkpoint is not None
    assert engine.world.given[0].checkpoint.limit == 2 << 20


async def test_one_that_cannot_be_kept_is_a_warning_on_a_green_run(engine: Engine) -> None:
    async def work(job: Job) -> Outcome:
        assert job.checkpoint is not None
        job.checkpoint.note("a checkpoint of more than 16 bytes is not kept")
        return outcome()

    engine.world.working = work
    run_id = await engine.begin(text())
    row = await engine.perform(run_id)
    assert row["state"] == "succeeded"
    assert "long: [millwright] a checkpoint of more than 16 bytes is not kept" in row["warning"]


async def test_a_stale_worker_keeps_nothing(engine: Engine) -> None:
    run_id = await engine.begin(text())
    stale, ledger = engine.ledger(), engine.ledger()
    claimed = await stale.claim(run_id)
    assert claimed
    await engine.recover(run_id)
    assert await ledger.claim(run_id)
    lease = Lease(run_id, stale.owner, claimed.epoch, Moment.of(engine.clock))
    with pytest.raises(LeaseLost):
        await CheckpointStore(stale).write(lease, "long", 1, Kept(Form.FILE, b"old"), 3, None)
    assert await kept(engine, run_id) == []


async def test_a_database_that_is_away_for_a_moment_costs_no_step_and_no_last_version(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, calls = CheckpointStore.write, [0]

    async def away_at_first(self: CheckpointStore, *values: Any) -> None:
        calls[0] += 1
        if calls[0] == 1:
            raise OperationalError("the server closed the connection")
        await write(self, *values)

    async def ending(job: Job) -> Outcome:
        return outcome()

    monkeypatch.setattr(CheckpointStore, "write", away_at_first)
    engine.world.working = saving(b"a", then=ending)
    run_id = await engine.begin(text())
    assert (await engine.perform(run_id))["state"] == "succeeded"
    assert await kept(engine, run_id) == [(1, b"a")]


# --- an action that saves its state by the engine's API ---------------------------------------------------


class CountParams(Params):
    to: int


class CountAction(ActionKind[CountParams]):
    """Counts, and saves how far it came."""

    name = "count_for_test"
    params = CountParams
    seen: list[JsonObject | None] = []

    def effect(self, params: CountParams) -> EffectClass:
        return EffectClass.IDEMPOTENT

    async def perform(self, arguments: JsonObject, context: StepContext) -> StepResult:
        assert context.checkpoints is not None
        self.seen.append(context.resumed_from)
        first = int(str((context.resumed_from or {}).get("n", 0)))
        for n in range(first, int(str(arguments["to"]))):
            await context.checkpoints.save({"n": n + 1})
            if n == 4 and len(self.seen) == 1:
                await asyncio.Event().wait()
        return StepResult.ok(first)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> list[JsonObject | None]:
    monkeypatch.setitem(registry(), CountAction.name, CountAction())
    CountAction.seen.clear()
    return CountAction.seen


async def test_an_action_gets_back_what_it_saved(engine: Engine, counting: list[JsonObject | None]) -> None:
    run_id = await engine.begin(
        "- name: t\n  trigger: manual\n  actions: [{id: c, type: count_for_test, to: 7}]\n"
    )
    worker = engine.worker()
    worker.attend(run_id)
    store = CheckpointStore(engine.ledger())

    async def fifth() -> bool:
        last = await store.last(run_id, "c")
        return last is not None and last.state == {"n": 5}

    await wait_for_async(fifth, 10)
    await engine.crash(worker)
    await engine.recover(run_id)
    assert (await engine.perform(run_id))["state"] == "succeeded"
    assert counting == [None, {"n": 5}]
    rows = await engine.sql("SELECT output FROM runs_step WHERE run_id = %s", run_id)
    assert rows[0]["output"] == 5


# --- a real command in the real sandbox -------------------------------------------------------------------


@pytest.fixture
def spawner(tmp_path: Path) -> Iterator[RunningSpawner]:
    running = start_spawner(tmp_path)
    yield running
    running.stop()


async def test_a_real_command_goes_on_where_it_was_when_its_worker_died(
    engine: Engine, spawner: RunningSpawner, tmp_path: Path
) -> None:
    script = (
        "n=$(cat $MILLWRIGHT_CHECKPOINT 2>/dev/null || echo 0); echo from $n; "
        "while [ $n -lt 60 ]; do n=$((n+1)); echo $n > $MILLWRIGHT_CHECKPOINT.new; "
        "mv $MILLWRIGHT_CHECKPOINT.new $MILLWRIGHT_CHECKPOINT; "
        '[ $n -eq 50 ] && [ "$1" = stop ] && sleep 60; done; echo $n'
    )
    lives: list[str] = ["stop", "go"]

    async def real(job: Job) -> Outcome:
        return await spawner.sandbox.run(replace(job, argv=("/bin/sh", "-c", script, "mw", lives.pop(0))))

    engine.world.working = real
    run_id = await engine.begin(text())
    worker = engine.worker()
    worker.attend(run_id)

    async def at_fifty() -> bool:
        return b"50\n" in [content for _, content in await kept(engine, run_id)]

    await wait_for_async(at_fifty, 20)
    await engine.crash(worker)
    await engine.recover(run_id)
    assert (await engine.perform(run_id))["state"] == "succeeded"
    rows = await engine.sql("SELECT output FROM runs_step WHERE run_id = %s AND step = 'long'", run_id)
    assert rows[0]["output"] == "from 50\n60"
