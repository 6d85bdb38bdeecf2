"""Work that is cancelled in the middle of a transaction."""

import asyncio

from appliance.runs import sql
from appliance.runs.tally import Batch
from tests.integration.runs.conftest import Engine, task
from tests.integration.runs.test_intake import door
from tests.integration.runs.test_overlap import pumps


async def test_a_transaction_that_is_cut_off_leaves_the_pool_sound(engine: Engine) -> None:
    """Cancelled at any of its turns; whoever takes the connection next gets the answers to their own questions."""
    run_id, ledger = await engine.begin(task("    - {type: set, value: 1}\n")), engine.ledger()

    async def cut_off() -> None:
        async with ledger.transaction() as connection:
            await connection.execute(sql.LOCK_RUN, {"id": run_id})
            await connection.execute("SELECT 1")
            await (await connection.execute("SELECT 2")).fetchone()

    for turn in range(60):
        cut = asyncio.ensure_future(cut_off())
        for _ in range(turn):
            await asyncio.sleep(0)
        cut.cancel()
        await asyncio.gather(cut, return_exceptions=True)
        for _ in range(3):
            assert await engine.state(run_id) == "queued"


async def test_an_intake_that_is_cut_off_leaves_the_pool_sound(engine: Engine) -> None:
    """Admission asks in the middle of the pipeline in which the occurrences and counters go out."""
    other = "- {name: other, trigger: manual, actions: [{type: set, value: 1}]}\n"
    opened, run_id = await door(engine, pumps("skip") + other), await engine.start("other")
    assert opened.intake.table is not None
    batch = Batch()
    for name in ("a", "b"):
        batch.take(opened.intake.table.match_message(f"plant/{name}/temp", b"1", engine.clock.now()))
    for turn in range(80):
        cut = asyncio.ensure_future(opened.intake.commit(batch, engine.clock.now(), []))
        for _ in range(turn):
            await asyncio.sleep(0)
        cut.cancel()
        await asyncio.gather(cut, return_exceptions=True)
        for _ in range(3):
            assert await engine.state(run_id) == "queued"
