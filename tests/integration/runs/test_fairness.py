"""Tasks take turns in the workers' queue: one that floods it starves no other."""

import asyncio
import json
from uuid import UUID

import pytest

from appliance.processes.parts import DefinitionCache
from appliance.runs import queue_sql
from appliance.runs.executor import Executor
from appliance.runs.performer import Performer
from tests.integration.runs.conftest import Engine
from tests.wait import wait_for_async

TASKS = """
- {name: flood, trigger: manual, actions: [{id: a, type: mqtt, topic: a/flood}]}
- {name: quiet, trigger: manual, actions: [{id: a, type: mqtt, topic: a/quiet}]}
- {name: other, trigger: manual, actions: [{id: a, type: mqtt, topic: a/other}]}
- name: split
  trigger: manual
  actions:
    - id: each
      type: foreach
      range: {from: 1, to: 60}
      parallelism: 60
      actions: [{id: one, type: mqtt, topic: a/flood}]
"""
MORE_OF_IT = """
INSERT INTO runs_run (id, task_id, version_id, state, principal, origin, priority)
SELECT (lpad(to_hex(('x' || substr(replace(r.id::text, '-', ''), 1, 12))::bit(48)::bigint), 12, '0') || '7fff8'
        || lpad(to_hex(n), 15, '0'))::uuid,
    r.task_id, r.version_id, r.state, r.principal, r.origin, r.priority
FROM runs_run r, generate_series(1, %s) n WHERE r.id = %s
"""


def small_worker(engine: Engine) -> Executor:
    ledger = engine.ledger()
    performer = Performer(ledger, engine.gate(), engine.world, engine.clock, DefinitionCache().get)
    return Executor(ledger, performer, engine.clock, concurrency=2)


async def flood(engine: Engine, count: int, task: str = "flood") -> list[UUID]:
    """So many queued runs of a task, the oldest first."""
    first = await engine.start(task)
    await engine.sql(MORE_OF_IT, count - 1, first)
    rows = await engine.sql(
        "SELECT r.id FROM runs_run r JOIN tasks_task t ON t.id = r.task_id"
        " WHERE t.name = %s AND r.state = 'queued' ORDER BY r.id",
        task,
    )
    return [row["id"] for row in rows]


async def following(engine: Engine, room: int) -> list[str]:
    """The tasks of the runs that are next."""
    found, _ = await engine.ledger().queued([], room)
    rows = await engine.sql(
        "SELECT r.id, t.name FROM runs_run r JOIN tasks_task t ON t.id = r.task_id WHERE r.id = ANY(%s)",
        found,
    )
    names = {row["id"]: row["name"] for row in rows}
    return [names[run_id] for run_id in found]


async def sent_until_quiet(engine: Engine, wanted: int) -> int:
    """How many messages of the flood were sent before the last of ``wanted`` quiet ones."""

    def sent() -> list[str]:
        return [topic for topic, _ in engine.world.published]

    await wait_for_async(lambda: sent().count("a/quiet") == wanted, 20, "the quiet task's runs are done")
    return sent()[: len(sent()) - sent()[::-1].index("a/quiet")].count("a/flood")


@pytest.mark.parametrize("length", [60, 400])
async def test_a_flood_of_one_task_starves_no_other(engine: Engine, length: int) -> None:
    """The second length is more than is read whole."""
    await engine.load(TASKS)
    runs = await flood(engine, length)
    quiet = [await engine.start("quiet") for _ in range(5)]
    worker = small_worker(engine)
    for run_id in [*runs, *quiet]:
        worker.attend(run_id)
    # Two are taken before anybody waits; then each run of the one is for one of the other, and two are under way.
    assert await sent_until_quiet(engine, 5) <= 10
    await worker.drain(5)


async def test_the_shards_of_one_run_starve_no_other_task(engine: Engine) -> None:
    await engine.load(TASKS)
    quiet_is_there = asyncio.Event()

    async def publishing(topic: str, payload: bytes) -> None:
        await quiet_is_there.wait()

    engine.world.publishing = publishing
    worker = small_worker(engine)
    worker.attend(await engine.start("split"))
    await wait_for_async(lambda: len(engine.world.published) == 2, 20, "shards have all the places")
    for _ in range(3):
        worker.attend(await engine.start("quiet"))
    quiet_is_there.set()
    assert await sent_until_quiet(engine, 3) <= 8
    await worker.drain(5)


async def test_priority_comes_first_then_turns_then_age(engine: Engine) -> None:
    await engine.load(TASKS)
    await flood(engine, 4)
    for name in ("other", "quiet", "other"):
        await engine.start(name)
    assert await following(engine, 6) == ["flood", "other", "quiet", "flood", "other", "flood"]
    await engine.sql(
        "UPDATE runs_run SET priority = 10 WHERE task_id = (SELECT id FROM tasks_task WHERE name = 'flood')"
    )
    assert await following(engine, 6) == [*["flood"] * 4, "other", "quiet"]


@pytest.mark.parametrize("length", [20, 400])
async def test_what_runs_of_a_task_counts_as_turns_that_it_has_had(engine: Engine, length: int) -> None:
    await engine.load(TASKS)
    runs = await flood(engine, length)
    await engine.sql(
        "UPDATE runs_run SET state = 'running', lease_until = now() + interval '1 hour' WHERE id = ANY(%s)",
        runs[:3],
    )
    await flood(engine, 10, "quiet")
    assert await following(engine, 6) == ["quiet"] * 3 + ["flood", "quiet", "flood"]


async def test_it_says_whether_more_are_queued(engine: Engine) -> None:
    await engine.load(TASKS)
    runs = await flood(engine, 300)
    ledger = engine.ledger()
    assert await ledger.queued([], 5) == (runs[:5], True)
    assert await ledger.queued(runs[:2], 3) == (runs[2:5], True)
    assert await ledger.queued(runs[:297], 3) == (runs[297:], False)
    assert await ledger.queued(runs[:297], 2) == (runs[297:299], True)
    assert await ledger.queued(runs, 5) == ([], False)


async def test_a_look_at_a_long_queue_reads_few_rows_whatever_the_statistics_say(engine: Engine) -> None:
    await engine.load(TASKS)
    await engine.sql("ANALYZE runs_run")  # of an empty queue, as a flood finds them
    await flood(engine, 20_000)
    for name in ("quiet", "other"):
        await engine.start(name)
    async with engine.pool.connection() as connection:
        values = {"known": [], "room": 64}
        await connection.execute(queue_sql.NEXT, values)  # planning reads too
        cursor = await connection.execute("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + queue_sql.NEXT, values)
        row = await cursor.fetchone()
    assert row is not None
    (plan,) = row[0] if isinstance(row[0], list) else json.loads(row[0])
    read = plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
    # A row that is looked at is a page that is looked at: 257 at first, then 64 of each task, and the indexes.
    assert read < 2_000
