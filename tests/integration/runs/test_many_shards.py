"""So many shards that nobody may hold them all: three workers, one database, and a splitter that keeps a batch."""

import asyncio
import time
import tracemalloc
from uuid import UUID

import pytest

from appliance.runs.shards.keeper import ShardKeeper
from appliance.runs.shards.sources import BATCH
from tests.integration.runs.conftest import Engine

MANY = 5_000
"""docs/performance.md says how it went with 100,000."""


def text(count: int, then: str = 'set, value: "{{ item.n + index }}"') -> str:
    return f"""
- name: t
  trigger: manual
  actions:
    - id: each
      type: foreach
      query: {{database: shop, query: "SELECT n, repeat('x', 200) AS text FROM generate_series(1, {count}) n"}}
      parallelism: 64
      actions: [{{type: {then}}}]
"""


async def expanded(engine: Engine, count: int) -> int:
    """Bytes of Python's own that one expansion of so many rows held at most."""
    worker = engine.worker()
    run_id = await engine.begin(text(count, "wait, duration: 1h"))
    tracemalloc.start()
    try:
        worker.attend(run_id)
        while (await engine.state(run_id)) != "waiting:shards":
            await asyncio.sleep(0.05)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        await worker.drain(10)


@pytest.mark.slow
async def test_to_split_ten_times_as_many_rows_takes_no_more_memory(desk: Engine) -> None:
    few = await expanded(desk, 2 * BATCH)
    many = await expanded(desk, 20 * BATCH)
    assert many < few * 1.5


@pytest.mark.slow
async def test_three_workers_carry_all_to_the_end_and_none_is_done_twice(desk: Engine) -> None:
    workers, keeper = [desk.worker() for _ in range(3)], ShardKeeper(desk.pool)
    run_id = await desk.begin(text(MANY))
    began = time.perf_counter()
    for worker in workers:
        await worker.start()
    try:
        await _ended(desk, keeper, run_id)
    finally:
        for worker in workers:
            await worker.drain(5)
    print(f"{MANY} shards in {time.perf_counter() - began:.0f} s")
    assert await desk.state(run_id) == "succeeded"
    (counted,) = await desk.sql(
        "SELECT count(*) AS runs, count(DISTINCT shard) AS shards, max(epoch) AS epoch, min(state) AS first,"
        " max(state) AS last FROM runs_run WHERE split_id IS NOT NULL"
    )
    assert (counted["runs"], counted["shards"], counted["epoch"]) == (MANY, MANY, 1)
    assert (counted["first"], counted["last"]) == ("succeeded", "succeeded")
    (steps,) = await desk.sql(
        "SELECT count(*) AS n, sum((output #>> '{}')::bigint) AS total FROM runs_step s JOIN runs_run r"
        " ON r.id = s.run_id WHERE r.split_id IS NOT NULL"
    )
    assert steps == {"n": MANY, "total": MANY * MANY}


async def _ended(engine: Engine, keeper: ShardKeeper, run_id: UUID) -> None:
    while (await engine.run(run_id))["finished_at"] is None:
        await keeper.look()
        await engine.reconciler.wake_due()
        await asyncio.sleep(0.5)
