"""What a crash makes of a step that is split: the expansion goes on, each shard follows its own row."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async

from appliance.accounts.principal import CONSOLE
from appliance.actions.registry import registry
from appliance.lib.clock import Moment, SystemClock
from appliance.runs.domain import RECOVERY_LIMIT, Lease, RunState, ShardOf, Waiting
from appliance.runs.invariants import splits
from appliance.runs.release import Release
from appliance.runs.rows import LeaseLost, RunRow
from appliance.runs.shards import counting
from appliance.runs.shards.keeper import ShardKeeper
from appliance.runs.shards.sources import BATCH
from appliance.safety.policy.services import apply
from appliance.safety.stop import Level, StopFile
from appliance.sandbox.ports import Captured, Job, Outcome
from tests.integration.runs.conftest import Engine, outcome
from tests.integration.runs.test_shards import output, shards, split, whole
from tests.wait import wait_for_async

LONG = f"""
- name: t
  trigger: manual
  actions:
    - id: each
      type: foreach
      range: {{from: 0, to: {BATCH * 12 - 1}}}
      parallelism: 1
      join: any
      actions: [{{type: mqtt, topic: "n/{{{{ item }}}}"}}]
"""


async def crash_in_expansion(engine: Engine, run_id: UUID) -> int:
    """A worker dies while it writes the rows of the shards; gives how many there were."""
    worker = engine.worker()
    worker.attend(run_id)

    async def some() -> int:
        return await engine.count("runs_run WHERE split_id IS NOT NULL")

    async with asyncio.timeout(20):
        while not await some():
            await asyncio.sleep(0)
    await engine.crash(worker)
    there = await some()
    assert 0 < there < BATCH * 12
    assert engine.world.published == []
    return there


async def test_an_expansion_that_was_cut_off_goes_on_where_it_was(engine: Engine) -> None:
    run_id = await engine.begin(LONG)
    before = await crash_in_expansion(engine, run_id)
    assert await engine.recover(run_id) == ["queued"]
    row = await whole(engine, run_id)
    assert row["state"] == "succeeded"
    items = [(one["shard"], one["inputs"]["item"]) for one in await shards(engine)]
    assert items == [(n, n) for n in range(BATCH * 12)]
    counts = await split(engine)
    assert (counts["total"], counts["succeeded"] + counts["cancelled"]) == (BATCH * 12, BATCH * 12)
    assert before % BATCH == 0


async def test_a_stale_worker_expands_nothing(engine: Engine) -> None:
    run_id = await engine.begin(LONG)
    await crash_in_expansion(engine, run_id)
    (row,) = await engine.sql("SELECT epoch FROM runs_run WHERE id = %s", run_id)
    await engine.recover(run_id)
    fresh = await engine.ledger().claim(run_id)
    assert fresh is not None
    there = await engine.count("runs_run")
    worker = engine.worker()
    stale = RunRow(
        **{**{name: getattr(fresh, name) for name in RunRow.__dataclass_fields__}, "epoch": row["epoch"]}
    )
    lease = Lease(run_id, "worker-0/life-1", stale.epoch, Moment.of(SystemClock()))
    with pytest.raises(LeaseLost):
        await worker._performer.perform(stale, lease)
    assert await engine.count("runs_run") == there


async def test_a_cancelled_expansion_ends_what_is_there(engine: Engine) -> None:
    run_id = await engine.begin(LONG)
    there = await crash_in_expansion(engine, run_id)
    await engine.sql("UPDATE runs_run SET state = 'cancelled', finished_at = now() WHERE id = %s", run_id)
    keeper = ShardKeeper(engine.pool)
    await keeper.look()
    await keeper.look()
    counts = await split(engine)
    assert (counts["outcome"], counts["total"], counts["cancelled"]) == ("cancelled", there, there)
    assert {one["state"] for one in await shards(engine)} == {"cancelled"}


MANY = """
- name: t
  trigger: manual
  actions:
    - id: each
      type: foreach
      range: {from: 0, to: 39}
      parallelism: 8
      collect: counts
      actions:
        - {id: first, type: mqtt, topic: "first/{{ item }}"}
        - {id: work, type: shell, args: [/bin/work, "{{ item }}"], effect: idempotent}
    - {id: after, type: mqtt, topic: after}
"""


async def test_shards_under_way_follow_their_own_rows_after_a_crash(engine: Engine) -> None:
    async def slow(job: Job) -> Outcome:
        if int(job.argv[1]) >= 10:
            await asyncio.Event().wait()
        return outcome()

    engine.world.working = slow
    run_id = await engine.begin(MANY)
    worker = engine.worker()
    worker.attend(run_id)
    await wait_for_async(lambda: len(engine.world.jobs) == 18, 20, "ten are done, eight hang")
    await engine.crash(worker)
    engine.world.working = None
    running = [one["id"] for one in await shards(engine) if one["state"] == "running"]
    assert len(running) == 8
    await engine.recover(*running)
    row = await whole(engine, run_id)
    assert row["state"] == "succeeded"
    done = Counter(topic for topic, _ in engine.world.published)
    assert done == {**{f"first/{n}": 1 for n in range(40)}, "after": 1}
    assert len(engine.world.jobs) == 48
    assert await output(engine, run_id, "each") == {"total": 40, "succeeded": 40, "failed": 0, "cancelled": 0}


async def test_a_parked_shard_is_counted_and_the_others_go_on(engine: Engine) -> None:
    async def second_hangs(job: Job) -> Outcome:
        if job.argv[1] == "1":
            await asyncio.Event().wait()
        return outcome()

    engine.world.working = second_hangs
    run_id = await engine.begin(MANY.replace("to: 39", "to: 3"))
    worker = engine.worker()
    worker.attend(run_id)

    async def three() -> bool:
        return bool((await split(engine))["succeeded"] == 3)

    await wait_for_async(lambda: len(engine.world.jobs) == 4, 10)
    async with asyncio.timeout(10):
        while not await three():
            await asyncio.sleep(0.02)
    (bad,) = [one["id"] for one in await shards(engine) if one["state"] == "running"]
    await engine.crash(worker)
    await engine.sql("UPDATE runs_run SET recoveries = %s WHERE id = %s", RECOVERY_LIMIT, bad)
    assert await engine.recover(bad) == ["poisoned"]
    row = await whole(engine, run_id)
    assert row["state"] == "failed"
    assert "1 of 4 did not succeed; first shard 1: stopped its worker" in row["reason"]


async def test_a_run_whose_last_shard_ended_before_it_waits_is_queued_at_once(engine: Engine) -> None:
    run_id = await engine.begin(MANY)
    ledger = engine.ledger()
    row = await ledger.claim(run_id)
    assert row is not None
    lease = Lease(run_id, ledger.owner, row.epoch, Moment.of(SystemClock()))
    state = await ledger.release(lease, "t", Release(RunState.WAITING, waiting_for=Waiting.SHARDS))
    assert state is RunState.QUEUED


async def test_a_shard_that_is_counted_again_counts_once(engine: Engine) -> None:
    run_id = await engine.begin(MANY.replace("to: 39", "to: 3"))
    await engine.perform(run_id)
    before = await split(engine)
    (first, *_) = await shards(engine)
    async with engine.pool.connection() as connection, connection.transaction():
        await counting.count(connection, ShardOf(before["id"], run_id), [first["id"], first["id"]])
    after = await split(engine)
    assert (after["succeeded"], after["total"], after["admitted"]) == (4, 4, 4)


# --- the invariant: a run that waits for its shards has live or admissible ones, or its split is joined


async def hanging(engine: Engine, run_id: UUID) -> None:
    """The run waits, eight of its shards are queued."""
    worker = engine.worker()
    worker.attend(run_id)
    worker._ledger.on_queued = lambda run_ids: None
    await wait_for_async(lambda: worker.active == 0, 10)
    assert await engine.state(run_id) == "waiting:shards"


async def test_counters_that_do_not_fit_the_rows_are_counted_again(engine: Engine) -> None:
    run_id = await engine.begin(MANY)
    await hanging(engine, run_id)
    assert await engine.reconciler.repair(splits) == []
    await engine.sql(
        "UPDATE runs_run SET state = 'succeeded', counted = true, finished_at = now() "
        "WHERE split_id IS NOT NULL AND state = 'queued'"
    )
    (repair,) = await engine.reconciler.repair(splits)
    assert (repair.subject, repair.done) == (str(run_id), "counted again, 8 queued")
    counts = await split(engine)
    assert (counts["succeeded"], counts["admitted"]) == (8, 16)
    assert await engine.reconciler.repair(splits) == []


async def test_a_run_that_overslept_the_end_of_its_shards_is_woken(engine: Engine) -> None:
    run_id = await engine.begin(MANY)
    await hanging(engine, run_id)
    await engine.sql("UPDATE runs_split SET outcome = 'succeeded', closed_at = now()")
    (repair,) = await engine.reconciler.repair(splits)
    assert (repair.subject, repair.done) == (str(run_id), "queued")
    assert await engine.state(run_id) == "queued"


# --- lines of a file


async def really(job: Job) -> Outcome:
    """The job's own command: the sandbox itself has its own tests."""
    process = await asyncio.create_subprocess_exec(*job.argv, stdout=-1, stderr=-1)
    out, err = await process.communicate()
    done = outcome(process.returncode, out, err)
    assert isinstance(done.stdout, Captured)
    return done


LINES = """
- name: t
  trigger: manual
  actions:
    - {id: each, type: foreach, lines: "{{ vars.file }}", parallelism: 1, join: any, actions: [{type: set, value: 1}]}
  vars: {file: ""}
"""
WIDE = f"{'a line':199}\n"
"""Half a megabyte of them takes two readings, and makes few shards."""


async def lines(engine: Engine, path: Path) -> tuple[dict[str, Any], list[Any]]:
    engine.world.working = really
    run_id = await engine.begin(LINES, {"vars": {"file": str(path)}})
    row = await whole(engine, run_id)
    return row, [one["inputs"]["item"] for one in await shards(engine)]


@pytest.mark.parametrize("end", ["", "\n"])
async def test_every_line_of_a_file_is_an_item(engine: Engine, tmp_path: Path, end: str) -> None:
    wanted = [f"line {n} " + "ü" * (n % 200) for n in range(3000)] + ["", "last"]
    file = tmp_path / "f"
    file.write_text("\n".join(wanted) + end)
    row, items = await lines(engine, file)
    assert (row["state"], items == wanted) == ("succeeded", True)


async def test_an_empty_file_is_nothing_to_do(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("")
    row, items = await lines(engine, tmp_path / "f")
    assert (row["state"], items) == ("failed", [])
    assert "there are no items" in row["reason"]


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (None, "cannot be read"),
        (b"x" * 300_000, "a line of more than 256 KiB"),
        (b"\n" * 1_000_001, "1,000,001 items"),
    ],
)
async def test_a_file_that_gives_no_items_is_a_clear_failure(
    engine: Engine, tmp_path: Path, content: bytes | None, word: str
) -> None:
    if content is not None:
        (tmp_path / "f").write_bytes(content)
    row, _ = await lines(engine, tmp_path / "f")
    assert row["state"] == "failed"
    assert word in row["reason"]


async def test_no_file_is_read_that_the_policy_denies(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("secret\n")
    rule = f'{{id: no, arguments: {{reads: ["{tmp_path}/**"]}}, decide: deny, reason: closed}}'
    policy = f"policy: 1\nname: t\nlayer: box\nrules: [{rule}]\ndefault: allow\n"
    await sync_to_async(apply)(policy, "p.yaml", CONSOLE, engine.clock.now(), kinds=registry())
    row, items = await lines(engine, tmp_path / "f")
    assert (row["state"], items, engine.world.jobs) == ("failed", [], [])
    assert "rule box/no" in row["reason"]


async def test_no_file_is_read_while_sandboxes_are_killed(engine: Engine, tmp_path: Path) -> None:
    """At the level ``kill`` no command begins, and one that is half through its file reads no further."""
    file = tmp_path / "f"
    file.write_text(WIDE * 2_500)

    async def stopping(job: Job) -> Outcome:
        if len(engine.world.jobs) == 2:
            StopFile(engine.home).write(Level.KILL, "test", "")
        return await really(job)

    engine.world.working = stopping
    run_id = await engine.begin(LINES, {"vars": {"file": str(file)}})
    row = await engine.perform(run_id)
    assert (row["state"], len(engine.world.jobs)) == ("waiting", 2)
    StopFile(engine.home).remove()
    assert (await whole(engine, run_id))["state"] == "succeeded"
    assert len(await shards(engine)) == 2_500


async def test_a_file_that_is_changed_meanwhile_is_not_mixed(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_text(WIDE * 2_500)

    async def swapping(job: Job) -> Outcome:
        done = await really(job)
        if len(engine.world.jobs) == 2:
            (tmp_path / "g").write_text(WIDE.upper() * 2_500)
            (tmp_path / "g").rename(file)
        return done

    engine.world.working = swapping
    run_id = await engine.begin(LINES, {"vars": {"file": str(file)}})
    row = await whole(engine, run_id)
    assert row["state"] == "failed"
    assert "was changed while it was read" in row["reason"]
    keeper = ShardKeeper(engine.pool)
    for _ in range(3):
        await keeper.look()
    assert {one["state"] for one in await shards(engine)} == {"cancelled"}
