"""The hot path's connections."""

from contextlib import AsyncExitStack

import psycopg
import pytest

from appliance.lib.config import Config
from appliance.processes import parts
from tests.wait import wait_for_async

LOCK = "SELECT pg_advisory_xact_lock(4711)"
TRY = "SELECT pg_try_advisory_lock(4711)"


@pytest.mark.parametrize("in_pipeline", [False, True])
async def test_who_stands_still_in_the_middle_of_a_transaction_loses_it(
    engines: Config, monkeypatch: pytest.MonkeyPatch, in_pipeline: bool
) -> None:
    """A stopped process would hold its locks, and with them everybody else, until somebody wakes it."""
    assert parts.TRANSACTION_LIMIT == "15s"
    monkeypatch.setattr(parts, "TRANSACTION_LIMIT", "200ms")
    pool = await parts.open_pool(engines)
    try:
        async with pool.connection() as other:

            async def free() -> bool:
                row = await (await other.execute(TRY)).fetchone()
                return bool(row and row[0])

            async def stand_still() -> None:
                async with pool.connection() as stopped, AsyncExitStack() as stack:
                    if in_pipeline:
                        await stack.enter_async_context(stopped.pipeline())
                    await stack.enter_async_context(stopped.transaction())
                    await (await stopped.execute(LOCK)).fetchone()
                    assert not await free()
                    await wait_for_async(free, 20, "the lock is given up")
                    await (await stopped.execute("SELECT 1")).fetchone()

            with pytest.raises(psycopg.Error):
                await stand_still()
            await other.execute("SELECT pg_advisory_unlock_all()")
    finally:
        await pool.close()


async def test_a_statement_is_planned_once_and_not_for_each_value(engines: Config) -> None:
    pool = await parts.open_pool(engines)
    try:
        async with pool.connection() as connection:
            for number in range(5):
                await connection.execute("SELECT relname FROM pg_class WHERE relpages = %s", (number,))
            cursor = await connection.execute(
                "SELECT custom_plans, generic_plans FROM pg_prepared_statements WHERE statement LIKE 'SELECT relname%'"
            )
            assert await cursor.fetchall() == [(0, 4)]
    finally:
        await pool.close()
