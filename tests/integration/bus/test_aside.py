"""A message that no try can handle is on record before the broker is told (P1)."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg import AsyncConnection, DataError
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from appliance.bus import aside
from appliance.bus.aside import Aside, forget
from appliance.bus.batches import Batches
from appliance.bus.ports import Delivery, Message
from appliance.bus.window import Held, Window
from tests.database import address
from tests.wait import wait_for_async

NOW = datetime(2026, 1, 1, tzinfo=UTC)
Pool = AsyncConnectionPool[AsyncConnection[Any]]


@pytest.fixture
async def pool(transactional_db: None) -> AsyncIterator[Pool]:
    async with Pool(address(), min_size=1, max_size=2, kwargs={"autocommit": True}, open=False) as opened:
        yield opened


async def rows(connection: AsyncConnection[Any]) -> list[dict[str, Any]]:
    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute("SELECT * FROM bus_setaside ORDER BY id")
    return await cursor.fetchall()


def message(payload: bytes = b"\xff\x00", topic: str = "plant/a") -> Message:
    return Message(topic, payload, 1, False, False, 1, NOW, "hall")


async def test_it_is_acknowledged_when_its_row_is_committed_and_not_while_there_is_no_table(
    pool: Pool, connection: AsyncConnection[Any]
) -> None:
    acknowledged: list[Held] = []
    window = Window(acknowledged.append)
    held, _ = window.receive(message())
    assert held

    async def handle(batch: list[Delivery]) -> None:
        raise DataError("its rows are wrong")

    tries = 0

    async def keep(message: Message, error: Exception) -> None:
        nonlocal tries
        tries += 1
        await Aside(pool).keep(message, error)

    batches = Batches(handle, keep, max_batch=10, max_queue=10, max_bytes=1000)
    await connection.execute("ALTER TABLE bus_setaside RENAME TO elsewhere")
    try:
        batches.put(held)
        task = asyncio.create_task(batches.run())
        await wait_for_async(lambda: tries >= 2, 10, "its record was tried, and is tried again")
        assert (acknowledged, batches.poisoned) == ([], 0)
    finally:
        await connection.execute("ALTER TABLE elsewhere RENAME TO bus_setaside")
    await wait_for_async(lambda: batches.poisoned == 1, 10, "it is set aside")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    (row,) = await rows(connection)
    assert acknowledged == [held]
    assert (row["topic"], row["payload"], row["size"], row["broker"]) == ("plant/a", b"\xff\x00", 2, "hall")
    assert "its rows are wrong" in row["reason"]
    cursor = await connection.execute(
        "SELECT subject, body::jsonb -> 'detail' ->> 'reason' FROM audit_record ORDER BY seq DESC LIMIT 1"
    )
    assert await cursor.fetchone() == ("plant/a", "DataError('its rows are wrong')")


async def test_what_is_kept_of_them_is_bounded(
    pool: Pool, connection: AsyncConnection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aside, "MOST_MESSAGES", 3)
    monkeypatch.setattr(aside, "MOST_BYTES", 100)
    for payload in (b"1", b"2", b"3", b"4"):
        await Aside(pool).keep(message(payload), ValueError())
    assert [row["payload"] for row in await rows(connection)] == [b"2", b"3", b"4"]
    await Aside(pool).keep(message(b"x" * 99, "with\x00zero"), ValueError())
    assert [row["size"] for row in await rows(connection)] == [1, 99]
    await Aside(pool).keep(message(b"x" * 101), ValueError())
    assert [row["size"] for row in await rows(connection)] == [101]
    await forget(connection, NOW + timedelta(seconds=1))
    assert await rows(connection) == []
