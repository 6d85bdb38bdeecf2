"""Shards are being taken over when a worker dies, or what was counted of them is wrong: it goes on from the rows."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from appliance.runs.invariants import splits
from appliance.runs.shards import inheriting
from appliance.runs.shards.inheriting import Heir
from tests.integration.runs.conftest import Engine
from tests.integration.runs.test_resume import resume
from tests.integration.runs.test_shards import whole
from tests.integration.runs.test_taken_shards import did, each, ended, goes_on, refusing, split_of
from tests.wait import wait_for_async


async def test_a_worker_that_dies_while_it_takes_over_is_gone_on_from(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inheriting, "BATCH", 2)
    old = await ended(engine, each(), "f")
    new = await resume(engine, old)
    taking, pieces = Heir._piece, 0

    async def dies(*given: Any) -> int:
        nonlocal pieces
        pieces += 1
        if pieces == 3:
            await asyncio.sleep(3600)
        return await taking(*given)

    monkeypatch.setattr(Heir, "_piece", dies)
    worker = engine.worker()
    worker.attend(new)
    await wait_for_async(lambda: pieces == 3, 15)
    await engine.crash(worker)
    assert (await split_of(engine, new))["expanded"] == 4
    assert await engine.recover(new) == ["queued"]
    refusing(engine)
    assert (await whole(engine, new))["state"] == "succeeded"
    assert did(engine) == Counter("abcdeff")
    assert (await split_of(engine, new))["taken"] == 5


async def test_the_checkpoint_of_a_shard_that_stopped_goes_with_it(engine: Engine) -> None:
    old = await ended(engine, each(), "c")
    (shard,) = await engine.sql("SELECT id FROM runs_run WHERE state = 'failed' AND parent_run_id = %s", old)
    for number, text in enumerate((b"first", b"last"), 1):
        await engine.sql(
            "INSERT INTO runs_checkpoint (run_id, step, digest, number, attempt, form, size, content) "
            "VALUES (%s, 'act', %s, %s, 1, 'file', 5, %s)",
            *(shard["id"], text.decode(), number, text),
        )
    new = await goes_on(engine, old)
    (kept,) = await engine.sql(
        "SELECT c.content FROM runs_checkpoint c JOIN runs_run r ON r.id = c.run_id WHERE r.parent_run_id = %s",
        new,
    )
    assert bytes(kept["content"]) == b"last"
    assert engine.world.given[-1].checkpoint is not None


@pytest.mark.slow
async def test_a_split_that_was_mended_counts_what_was_taken(engine: Engine) -> None:
    old = await ended(engine, each(width=1), "a")
    new = await resume(engine, old)
    await engine.perform(new)
    await engine.sql(
        "UPDATE runs_split SET succeeded = 0, closed_at = NULL, outcome = '' WHERE run_id = %s", new
    )
    await engine.reconciler.repair(splits)
    assert (await split_of(engine, new))["succeeded"] >= 5
