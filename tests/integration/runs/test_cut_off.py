"""Work that is cancelled in the middle of a transaction."""

import asyncio

from appliance.runs import sql
from tests.integration.runs.conftest import Engine, task


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
