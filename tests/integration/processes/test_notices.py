"""People are told once of what concerns everybody: the all-stop, and a budget that is used up."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from psycopg_pool import AsyncConnectionPool

from appliance.accounts.domain import Role
from appliance.accounts.principal import Principal
from appliance.events import BudgetExceeded
from appliance.events.services import record_async
from appliance.lib.clock import SystemClock
from appliance.processes.notices import Notices
from appliance.safety import allstop
from tests.database import address

pytestmark = pytest.mark.django_db(transaction=True)
ANA = Principal("user:ana", Role.ENGINEER)


@pytest.fixture
async def pool() -> AsyncIterator[AsyncConnectionPool[Any]]:
    async with AsyncConnectionPool[Any](
        address(), min_size=1, kwargs={"autocommit": True}, open=False
    ) as opened:
        yield opened
    await sync_to_async(connections.close_all)()


async def texts(pool: AsyncConnectionPool[Any]) -> list[str]:
    async with pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT message ->> 'text' FROM outbox_item WHERE platform = 'webchat' ORDER BY id"
        )
        return [row[0] for row in await cursor.fetchall()]


async def test_a_stop_and_its_release_are_told_once_with_who_and_why(pool: AsyncConnectionPool[Any]) -> None:
    notices, now = Notices(pool), SystemClock().now()
    await notices.follow()
    await sync_to_async(allstop.engage)(allstop.Level.CUT, "leak in hall 3", ANA, now)
    await sync_to_async(allstop.release)("pipe closed", ANA, now)
    for _ in range(3):
        await notices.follow()
    await Notices(pool).follow()
    first, second = await texts(pool)
    assert "ALL-STOP (cut) by user:ana: leak in hall 3" in first
    assert "released by user:ana: pipe closed" in second


async def test_a_budget_that_is_used_up_is_told(pool: AsyncConnectionPool[Any]) -> None:
    notices = Notices(pool)
    await notices.follow()
    async with pool.connection() as connection:
        await record_async(connection, BudgetExceeded(rule="budget.box/x", task="t", reason="used up"))
    await notices.follow()
    (text,) = await texts(pool)
    assert text.endswith("used up (budget.box/x)")
