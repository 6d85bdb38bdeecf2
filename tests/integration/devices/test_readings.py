"""The history of readings: what is kept, what is left out, and how it is read."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from appliance.accounts.principal import BOX
from appliance.bus.client import BusClient
from appliance.bus.ports import Delivery, Message
from appliance.bus.values import read_payload
from appliance.devices.errors import ReadingsRefused
from appliance.devices.readings import recorder as recording
from appliance.devices.readings.domain import Wanted
from appliance.devices.readings.recorder import Recorder
from appliance.devices.readings.services import between, read
from appliance.lib.clock import ManualClock
from appliance.lib.config import Config
from tests.brokers import Nats
from tests.chat_desk import Pool, open_pool
from tests.wait import wait_for_async

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TEMP = "plant/a/pump/1/temp"


@pytest.fixture
async def pool(transactional_db: None) -> AsyncIterator[Pool]:
    async with open_pool() as made:
        async with made.connection() as connection:
            await connection.execute("DELETE FROM devices_reading")
        yield made


def recorder(pool: Pool, *wanted: Wanted, **more: Any) -> Recorder:
    made = Recorder(pool, ManualClock(NOW), **more)
    made.want(wanted or (Wanted("plant/+/pump/+/temp"),))
    return made


def say(to: Recorder, payload: str, at: datetime = NOW, topic: str = TEMP, **more: Any) -> None:
    message = Message(
        topic, payload.encode(), 1, more.get("retain", False), False, 1, at, more.get("broker", "")
    )
    to.take(message, read_payload(message.payload))


async def rows(pool: Pool) -> list[tuple[Any, ...]]:
    async with pool.connection() as connection:
        found = await connection.execute(
            "SELECT topic, path, value, low, high FROM devices_reading ORDER BY at, path"
        )
        return await found.fetchall()


async def test_one_row_a_second_has_the_last_the_least_and_the_greatest(pool: Pool) -> None:
    made = recorder(pool)
    for number, value in enumerate(("20", "83.5", "81")):
        say(made, value, NOW + timedelta(milliseconds=number))
    say(made, '{"value": 7}', NOW + timedelta(seconds=1))
    await made.flush()
    assert await rows(pool) == [(TEMP, "", 81.0, 20.0, 83.5), (TEMP, "value", 7.0, 7.0, 7.0)]
    assert made.kept == 2


async def test_what_nobody_wants_or_nobody_knows_the_time_of_is_not_kept(pool: Pool) -> None:
    made = recorder(pool, Wanted("plant/+/pump/+/temp"), Wanted("plant/x", "a.b"))
    say(made, "1", topic="plant/a/flow")
    say(made, "1", broker="hall")
    say(made, "2", retain=True)
    say(made, "hot")
    say(made, '{"a": {"b": 5, "c": 6}}', topic="plant/x")
    await made.flush()
    assert await rows(pool) == [("plant/x", "a.b", 5.0, 5.0, 5.0)]
    made.want([])
    say(made, "1")
    await made.flush()
    assert len(await rows(pool)) == 1


async def test_a_second_that_is_not_over_waits_for_the_rest_of_it(pool: Pool) -> None:
    made = recorder(pool)
    say(made, "1", NOW - timedelta(seconds=1))
    say(made, "2", NOW)
    await made.tick()
    assert [row[2] for row in await rows(pool)] == [1.0]


async def test_there_is_room_for_so_many_topics_and_the_rest_is_counted(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "MOST_SERIES", 2)
    made = recorder(pool, Wanted("plant/#"))
    for number in range(4):
        say(made, "1", topic=f"plant/{number}")
    await made.flush()
    assert (made.kept, made.left_out) == (2, 2)


async def test_without_a_database_samples_wait_and_then_the_newest_are_left_out(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "MOST_WAITING", 3)
    made = recorder(pool)
    async with pool.connection() as connection:
        await connection.execute("ALTER TABLE devices_reading RENAME TO elsewhere")
    try:
        say(made, "0")
        with pytest.raises(Exception, match="devices_reading"):
            await made.flush()
        for number in range(1, 5):
            say(made, str(number), NOW + timedelta(seconds=number))
    finally:
        async with pool.connection() as connection:
            await connection.execute("ALTER TABLE elsewhere RENAME TO devices_reading")
    await made.flush()
    assert [row[2] for row in await rows(pool)] == [0.0, 1.0, 2.0]
    assert made.left_out == 2


async def test_a_day_that_has_its_room_filled_takes_no_more(pool: Pool) -> None:
    made = recorder(pool, day_bytes=0)
    await made.look()
    say(made, "1")
    say(made, "2", NOW + timedelta(days=1))
    await made.flush()
    assert [row[2] for row in await rows(pool)] == [2.0]
    assert made.left_out == 1


@pytest.mark.usefixtures("services_from_the_loop")
async def test_readings_come_back_in_so_many_points(pool: Pool) -> None:
    made = recorder(pool)
    for second in range(600):
        say(made, str(second), NOW + timedelta(seconds=second + 1))
    await made.flush()
    async with pool.connection() as connection:
        found = await read(connection, TEMP, "", NOW, NOW + timedelta(minutes=10), 10)
    assert found.width == timedelta(minutes=1)
    first = found.points[0]
    assert (first.at, first.low, first.mean, first.high) == (NOW, 0.0, 29.0, 58.0)
    assert len(found.points) in (10, 11)
    assert (found.low, found.high, found.last) == (0.0, 599.0, 599.0)
    assert found.last_at == NOW + timedelta(minutes=10)
    again = await sync_to_async(between)(TEMP, "", NOW, NOW + timedelta(minutes=10), 10, BOX)
    assert again == found


@pytest.mark.parametrize(
    ("path", "length", "most"), [("a..b", 60, 10), ("", 0, 10), ("", 60, 0), ("", 60, 2001), ("", 10**9, 10)]
)
def test_a_question_that_makes_no_sense_is_refused(path: str, length: int, most: int) -> None:
    with pytest.raises(ReadingsRefused):
        between(TEMP, path, NOW, NOW + timedelta(seconds=length), most, BOX)


async def test_what_a_device_publishes_is_on_record_a_moment_later(
    pool: Pool, box: tuple[Nats, Config]
) -> None:
    broker, _ = box
    made = Recorder(pool, ManualClock(NOW))
    made.want([Wanted("plant/+/pump/+/temp")])

    async def take(deliveries: list[Delivery]) -> None:
        for one in deliveries:
            made.take(one.message, read_payload(one.message.payload))
            one.ack()

    client = BusClient(broker.url, "recorder", clean=True, box="b", on_batch=take)
    await client.set_filters(frozenset({"plant/#"}))
    await client.start()
    try:
        await client.wait_connected(10)
        await client.publish(TEMP, b'{"value": 83.1}')

        async def kept() -> bool:
            await made.flush()
            return made.kept > 0

        await wait_for_async(kept, 10, "the reading is kept")
    finally:
        await client.stop()
    assert await rows(pool) == [(TEMP, "value", 83.1, 83.1, 83.1)]
