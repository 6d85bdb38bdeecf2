"""The suite's stand on the tests' own engines."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from django.db import connections

from appliance.agent.suite.shop import Shop
from appliance.agent.suite.stand import Stand, new_stand
from tests.integration.runs.conftest import Pool, clean, pool, silent_hints

__all__ = ["clean", "pool", "silent_hints"]


@pytest.fixture
async def stand(pool: Pool, tmp_path: Path, suite_shop: Shop, silent_hints: None) -> AsyncIterator[Stand]:
    made = new_stand(pool, tmp_path, suite_shop)
    async with pool.connection() as connection:
        await connection.execute("DELETE FROM devices_reading")
        await connection.execute("DELETE FROM outbox_item")
    yield made
    await sync_to_async(connections.close_all)()
