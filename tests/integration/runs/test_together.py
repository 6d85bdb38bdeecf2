"""What many runs write at once is one commit, and none of them pays for another. What need not wait for the disk does
not, and where PostgreSQL loses it nothing is built on it (P3, P4)."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from appliance.actions.contract import EffectClass
from appliance.lib.clock import Moment, SystemClock
from appliance.processes.parts import DefinitionCache
from appliance.runs.domain import Lease, RunState, StepState
from appliance.runs.executor import Executor
from appliance.runs.ledger import Ledger
from appliance.runs.performer import Performer
from appliance.runs.plan import Phase
from appliance.runs.release import Release
from appliance.runs.rows import LeaseLost, StepWrite
from appliance.safety.gate import Action
from tests.database import address
from tests.integration.runs.conftest import Engine
from tests.integration.runs.locks import waits_for_a_lock
from tests.wait import wait_for_async

NOW = SystemClock().now()
TASK = """
- name: t
  trigger: manual
  actions:
    - {id: act, type: shell, args: [/bin/true]}
    - {id: tell, type: mqtt, topic: a/b}
"""
SETTINGS = """
CREATE TABLE seen_settings (step text, state text, setting text);
CREATE FUNCTION see_setting() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO seen_settings VALUES (NEW.step, NEW.state, current_setting('synchronous_commit'));
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER see_setting AFTER INSERT OR UPDATE ON runs_step DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION see_setting();
"""
FORGET_SETTINGS = "DROP TRIGGER see_setting ON runs_step; DROP FUNCTION see_setting; DROP TABLE seen_settings"


async def claimed(engine: Engine, ledger: Ledger, count: int) -> list[Lease]:
    await engine.load(TASK)
    runs = [await engine.start("t") for _ in range(count)]
    rows = await asyncio.gather(*(ledger.claim(run_id) for run_id in runs))
    asked = Moment.of(engine.clock)
    return [Lease(row.id, ledger.owner, row.epoch, asked) for row in rows if row is not None]


def step(name: str = "act", state: StepState = StepState.INTENT) -> StepWrite:
    effect = EffectClass.UNSAFE if name == "act" else EffectClass.IDEMPOTENT
    return StepWrite(name, 1, 0, Phase.ACTIONS, "shell", effect, state, started_at=NOW)


async def write(ledger: Ledger, lease: Lease, one: StepWrite, *, relaxed: bool = False) -> bool:
    action = Action("shell", one.effect.value, {}, "box", run_id=lease.run_id, task="t")
    return (await ledger.write(lease, action, None, [one], relaxed=relaxed)).done


async def commits(engine: Engine, table: str, column: str, runs: Sequence[UUID]) -> int:
    """How many transactions wrote these rows."""
    (row,) = await engine.sql(
        f"SELECT count(DISTINCT xmin::text) AS n FROM {table} WHERE {column} = ANY(%s)", list(runs)
    )
    return int(row["n"])


def acting_before_the_disk(engine: Engine) -> Executor:
    """A worker as in the crash-safe mode."""
    ledger = Ledger(engine.pool, "worker-0/relaxed", acts_after_disk=False)
    performer = Performer(ledger, engine.gate(), engine.world, engine.clock, DefinitionCache().get)
    return Executor(ledger, performer, engine.clock)


@pytest.fixture
async def settings_seen(engine: Engine) -> AsyncIterator[None]:
    await engine.sql(SETTINGS)
    yield
    await engine.sql(FORGET_SETTINGS)


async def test_runs_of_one_hint_are_claimed_in_one_commit(engine: Engine) -> None:
    leases = await claimed(engine, engine.ledger(), 10)
    assert len(leases) == 10
    assert await commits(engine, "runs_run", "id", [lease.run_id for lease in leases]) == 1


async def test_what_many_runs_write_at_once_is_few_commits(engine: Engine) -> None:
    ledger = engine.ledger()
    leases = await claimed(engine, ledger, 10)
    assert all(await asyncio.gather(*(write(ledger, lease, step()) for lease in leases)))
    assert await commits(engine, "runs_step", "run_id", [lease.run_id for lease in leases]) <= 2


async def test_a_run_that_was_lost_costs_the_others_nothing(engine: Engine) -> None:
    ledger = engine.ledger()
    leases = await claimed(engine, ledger, 6)
    stale = replace(leases[3], epoch=leases[3].epoch - 1)
    wanted = [*leases[:3], stale, *leases[4:]]
    said = await asyncio.gather(*(write(ledger, one, step()) for one in wanted), return_exceptions=True)
    assert [type(one) for one in said] == [bool, bool, bool, LeaseLost, bool, bool]
    assert await engine.steps(stale.run_id) == []


async def test_a_row_that_the_database_refuses_costs_the_others_nothing(engine: Engine) -> None:
    ledger = engine.ledger()
    leases = await claimed(engine, ledger, 6)
    steps = [step("x" * 200 if index == 3 else "act") for index in range(6)]
    said = await asyncio.gather(
        *(write(ledger, lease, one) for lease, one in zip(leases, steps, strict=True)), return_exceptions=True
    )
    assert [one is True for one in said] == [True, True, True, False, True, True]


async def test_nobody_waits_for_a_run_that_somebody_else_holds_locked(engine: Engine) -> None:
    ledger = engine.ledger()
    leases = await claimed(engine, ledger, 6)
    async with engine.pool.connection() as connection, connection.transaction():
        await connection.execute("SELECT FROM runs_run WHERE id = %s FOR UPDATE", (leases[3].run_id,))
        writing = [asyncio.create_task(write(ledger, lease, step())) for lease in leases]
        async with asyncio.timeout(10):
            await asyncio.gather(*writing[:3], *writing[4:])
        assert not writing[3].done()
    assert await writing[3]


async def test_nobody_waits_for_one_that_came_alone_and_is_held_locked(engine: Engine) -> None:
    ledger = engine.ledger()
    first, second = await claimed(engine, ledger, 2)
    third, fourth = await engine.start("t"), await engine.start("t")
    async with engine.pool.connection() as connection, connection.transaction():
        held = [first.run_id, third]
        await connection.execute("SELECT FROM runs_run WHERE id = ANY(%s) FOR UPDATE", (held,))
        stuck = [asyncio.create_task(write(ledger, first, step())), asyncio.create_task(ledger.claim(third))]
        while not await waits_for_a_lock(engine):
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            assert await write(ledger, second, step())
            assert await ledger.claim(fourth)
        assert not any(task.done() for task in stuck)
    assert all(await asyncio.gather(*stuck))


async def test_only_an_unsafe_intent_waits_for_the_disk(engine: Engine, settings_seen: None) -> None:
    run_id = await engine.begin(TASK)
    assert (await engine.perform(run_id, acting_before_the_disk(engine)))["state"] == "succeeded"
    seen = await engine.sql("SELECT step, state, setting FROM seen_settings")
    assert [tuple(row.values()) for row in seen] == [
        ("act", "intent", "on"),
        ("act", "succeeded", "off"),
        ("tell", "intent", "off"),
        ("tell", "succeeded", "on"),
    ]
    assert (
        await engine.sql("SELECT 1 FROM pg_settings WHERE name = 'synchronous_commit' AND setting <> 'on'")
        == []
    )


async def test_in_the_power_safe_mode_every_intent_waits_for_the_disk(
    engine: Engine, settings_seen: None
) -> None:
    run_id = await engine.begin(TASK)
    await engine.perform(run_id)
    assert await engine.sql("SELECT 1 FROM seen_settings WHERE setting <> 'on'") == []


async def test_a_claim_that_the_database_lost_and_gave_to_another_writes_nothing(engine: Engine) -> None:
    old, new = engine.ledger(), engine.ledger()
    (lease,) = await claimed(engine, old, 1)
    await engine.sql("UPDATE runs_run SET state = 'queued', epoch = epoch - 1, lease_owner = ''")
    row = await new.claim(lease.run_id)
    assert row is not None
    assert row.epoch == lease.epoch
    with pytest.raises(LeaseLost):
        await write(old, lease, step())
    with pytest.raises(LeaseLost):
        await old.release(lease, "t", Release(RunState.SUCCEEDED))
    assert await engine.steps(lease.run_id) == []


@pytest.mark.parametrize("count", [1, 2])
async def test_what_nobody_asks_for_any_more_is_not_written_late(engine: Engine, count: int) -> None:
    """Whoever asked left while there was no connection; its run may be under way again, with the same lease."""
    async with AsyncConnectionPool[AsyncConnection[Any]](
        address(), min_size=1, max_size=1, kwargs={"autocommit": True}, open=False
    ) as narrow:
        ledger = Ledger(narrow, "worker-0/narrow")
        leases = await claimed(engine, ledger, count)
        async with narrow.connection():
            asking = asyncio.gather(*(write(ledger, lease, step()) for lease in leases))
            await wait_for_async(lambda: narrow.get_stats()["requests_waiting"], 10, "it waits")
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
        async with narrow.connection():  # after the one that waited before
            assert await engine.count("runs_step") == 0


@pytest.mark.parametrize("state", [RunState.SUCCEEDED, RunState.WAITING])
async def test_nothing_is_built_on_an_intent_that_the_database_lost(engine: Engine, state: RunState) -> None:
    ledger = engine.ledger()
    (lease,) = await claimed(engine, ledger, 1)
    await write(ledger, lease, step())
    await write(ledger, lease, step("tell"), relaxed=True)
    proven = replace(lease, proof=("tell", 1))
    await engine.sql("DELETE FROM runs_step WHERE step = 'tell'")
    with pytest.raises(LeaseLost):
        await write(ledger, proven, step("more"))
    with pytest.raises(LeaseLost):
        await ledger.release(proven, "t", Release(state, writes=[step("tell", StepState.SUCCEEDED)]))
    assert await engine.state(lease.run_id) == "running"
    assert await engine.steps(lease.run_id) == [("act", 1, "intent")]


async def test_a_lost_result_of_an_unsafe_step_is_asked_about(engine: Engine) -> None:
    """PostgreSQL is killed between the relaxed commit and the next: what it held of the result is gone."""
    run_id = await engine.begin(TASK)

    async def lose(topic: str, payload: bytes) -> None:
        await engine.sql("DELETE FROM runs_step WHERE step = 'tell'")
        await engine.sql("UPDATE runs_step SET state = 'intent', output = NULL, finished_at = NULL")

    engine.world.publishing = lose
    await engine.perform(run_id, acting_before_the_disk(engine))
    engine.world.publishing = None
    assert await engine.state(run_id) == "running"
    await engine.recover(run_id)
    await engine.perform(run_id)
    assert await engine.state(run_id) == "waiting:ambiguous"
    assert engine.world.jobs == [("/bin/true",)]
