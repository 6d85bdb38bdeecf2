"""Partitions come ahead of time, go by days and bytes, and neither stops who writes."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from psycopg import AsyncConnection
from psycopg.errors import LockNotAvailable
from psycopg_pool import AsyncConnectionPool

from appliance.lib.config import get_config
from appliance.lib.identity import uuid7
from appliance.lib.partitions import partition_name
from appliance.processes import days, strays
from appliance.processes.days import PARTITIONED, Days
from tests.database import address, connect_async
from tests.wait import wait_for_async

TODAY = date(2031, 3, 10)
RUNS = ("runs_run", "runs_step", "runs_checkpoint", "runs_split")
LATER = TODAY + timedelta(days=60)
Pool = AsyncConnectionPool[AsyncConnection[Any]]


@pytest.fixture
async def pool(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pool]:
    """The days that a test makes are gone when it ends; those of other tests are out of sight."""
    monkeypatch.setattr(days, "_PARTS", f"{days._PARTS} AND c.relname LIKE '%%\\_p2031%%'")
    async with Pool(address(), min_size=1, max_size=2, kwargs={"autocommit": True}, open=False) as opened:
        yield opened
        async with opened.connection() as connection:
            for table in PARTITIONED:
                for name in await days_of(connection, table):
                    if "_p2031" in name:
                        await connection.execute(f'DROP TABLE "{name}"')


async def days_of(connection: AsyncConnection[Any], table: str) -> list[str]:
    cursor = await connection.execute(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
        "WHERE i.inhparent = %s::regclass ORDER BY 1",
        (table,),
    )
    return [name for (name,) in await cursor.fetchall()]


async def is_wanted(connection: AsyncConnection[Any], table: str) -> bool:
    """Whether somebody waits for a lock on this table, which others hold."""
    cursor = await connection.execute(
        "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = %s::regclass AND database = "
        "(SELECT oid FROM pg_database WHERE datname = current_database())",
        (table,),
    )
    return await cursor.fetchone() is not None


def keeping(pool: Pool, keep: int = 30, size: int = 10**10) -> Days:
    return Days(pool, get_config().model_copy(update={"keep_days": keep, "keep_bytes": size}))


async def add_run(connection: AsyncConnection[Any], day: date, state: str = "succeeded") -> Any:
    run_id = uuid7(datetime(day.year, day.month, day.day, 12, tzinfo=UTC))
    await connection.execute(
        "INSERT INTO runs_run (id, task_id, version_id, state, principal, origin, epoch) "
        "VALUES (%s, 1, 1, %s, 'box', 'manual', 1)",
        (run_id, state),
    )
    await connection.execute(
        "INSERT INTO runs_step (run_id, step, attempt, position, kind, effect, state, epoch) "
        "VALUES (%s, 'a', 1, 0, 'set', 'pure', 'succeeded', 1)",
        (run_id,),
    )
    return run_id


async def test_a_dump_that_holds_a_table_does_not_make_its_writers_wait(pool: Pool) -> None:
    async with await connect_async(autocommit=False) as dump, await connect_async() as writer:
        await writer.execute("SET statement_timeout = '5s'")
        await dump.execute("LOCK TABLE runs_run IN ACCESS SHARE MODE")
        preparing = asyncio.create_task(keeping(pool).prepare(TODAY))
        while not preparing.done():
            await add_run(writer, TODAY - timedelta(days=3650))
            await asyncio.sleep(0.01)
        with pytest.raises(LockNotAvailable):
            await preparing
        await dump.rollback()
        await keeping(pool).prepare(TODAY)
        assert partition_name("runs_run", TODAY) in await days_of(writer, "runs_run")


async def test_a_day_that_a_dump_holds_is_dropped_another_time(pool: Pool) -> None:
    await keeping(pool).prepare(TODAY)
    async with await connect_async(autocommit=False) as dump:
        await dump.execute(f'LOCK TABLE "{partition_name("events_event", TODAY)}" IN ACCESS SHARE MODE')
        with pytest.raises(LockNotAvailable):
            await keeping(pool).drop_old(LATER)
        await dump.rollback()
    assert partition_name("events_event", TODAY) in await keeping(pool).drop_old(LATER)


async def test_a_statement_that_has_the_table_and_comes_for_the_day_is_not_waited_for_in_turn(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As each one with a generic plan does it: the table first, then every partition."""
    monkeypatch.setattr(days, "_NOT_LONG", "SET LOCAL lock_timeout = '20s'")
    await keeping(pool).prepare(TODAY)
    async with await connect_async(autocommit=False) as statement, await connect_async() as looking:
        await statement.execute("LOCK TABLE ONLY runs_step IN ROW EXCLUSIVE MODE")
        dropping = asyncio.create_task(keeping(pool).drop_old(LATER))
        await wait_for_async(lambda: is_wanted(looking, "runs_step"), 10, "the drop waits for the statement")
        await statement.execute("LOCK TABLE runs_step IN ROW EXCLUSIVE MODE NOWAIT")
        await statement.commit()
        assert partition_name("runs_step", TODAY) in await dropping


async def test_a_table_that_somebody_holds_does_not_keep_the_others(pool: Pool) -> None:
    await keeping(pool).prepare(TODAY)
    async with await connect_async(autocommit=False) as dump, await connect_async() as looking:
        await dump.execute("LOCK TABLE tasks_occurrence IN ACCESS SHARE MODE")
        with pytest.raises(LockNotAvailable):
            await keeping(pool).drop_old(LATER)
        for table in PARTITIONED:
            there = partition_name(table, TODAY) in await days_of(looking, table)
            assert there == (table == "tasks_occurrence")


async def test_the_budget_of_bytes_takes_whole_days_of_runs_with_all_that_belongs_to_them(pool: Pool) -> None:
    """Steps are larger than runs: a run must not outlive them."""
    first, second = TODAY, TODAY + timedelta(days=1)
    await keeping(pool).prepare(TODAY)
    async with pool.connection() as connection:
        old, kept = await add_run(connection, first), await add_run(connection, second)
        await connection.execute(
            "UPDATE runs_step SET stderr = (SELECT string_agg(md5(n::text), '') FROM generate_series(1, 9000) AS n) "
            "WHERE run_id = ANY(%s)",
            ([old, kept],),
        )
        cursor = await connection.execute(
            "SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class WHERE relkind = 'r' AND relname = ANY(%s)",
            ([partition_name(table, second + timedelta(days=n)) for table in RUNS for n in range(3)],),
        )
        ((size,),) = await cursor.fetchall()
        budget = (size + 1000) * len(PARTITIONED) // len(RUNS)
        dropped = await keeping(pool, 3000, budget).drop_old(second + timedelta(days=1))
        assert {name for name in dropped if name.startswith("runs_")} == {
            partition_name(table, first) for table in RUNS
        }
        cursor = await connection.execute("SELECT r.id FROM runs_run r JOIN runs_step s ON s.run_id = r.id")
        assert await cursor.fetchall() == [(kept,)]


async def test_a_day_with_a_run_that_has_not_ended_stays_whole(pool: Pool) -> None:
    await keeping(pool).prepare(TODAY)
    async with pool.connection() as connection:
        run_id = await add_run(connection, TODAY, "waiting")
        dropped = await keeping(pool).drop_old(LATER)
        assert partition_name("tasks_occurrence", TODAY) in dropped
        assert not [name for name in dropped if name.endswith(f"{TODAY:%Y%m%d}") and name.startswith("runs_")]
        await connection.execute("UPDATE runs_run SET state = 'failed' WHERE id = %s", (run_id,))
        assert partition_name("runs_step", TODAY) in await keeping(pool).drop_old(LATER)


async def test_a_day_within_both_budgets_and_today_stay(pool: Pool) -> None:
    await keeping(pool).prepare(TODAY)
    assert await keeping(pool, 4).drop_old(TODAY + timedelta(days=4)) == []
    assert await keeping(pool, 4, 7).drop_old(TODAY) == []


async def test_old_rows_that_no_partition_took_are_deleted_in_pieces(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A year ago nobody prepared a day: all of it stands in DEFAULT."""
    monkeypatch.setattr(strays, "AT_ONCE", 2)
    long_ago = TODAY - timedelta(days=365)
    async with pool.connection() as connection:
        for _ in range(5):
            await add_run(connection, long_ago)
        waiting, young = await add_run(connection, long_ago, "waiting"), await add_run(connection, TODAY)
        for day in (long_ago, TODAY):
            at = datetime(day.year, day.month, day.day, tzinfo=UTC)
            await connection.execute(
                "INSERT INTO tasks_occurrence (id, task_id, trigger, due_at, state) VALUES (%s, 1, 't', %s, 'missed')",
                (uuid7(at), at),
            )
            await connection.execute(
                "INSERT INTO events_event (at, type, subject, data) VALUES (%s, 'x', 'y', '{}')", (at,)
            )
        assert await strays.delete_strays(pool, TODAY, 30) == 12
        for table, key in (("runs_run", "id"), ("runs_step", "run_id")):
            cursor = await connection.execute(f"SELECT {key} FROM {table} ORDER BY 1")
            assert await cursor.fetchall() == [(waiting,), (young,)]
        for table in ("tasks_occurrence", "events_event"):
            cursor = await connection.execute(f"SELECT count(*) FROM {table}_default")
            assert await cursor.fetchone() == (1,)
        await connection.execute("DELETE FROM events_event_default")
    assert await strays.delete_strays(pool, TODAY, 30) == 0
