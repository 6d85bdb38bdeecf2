"""The last value of each topic, in PostgreSQL and as a process has it in memory."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg import AsyncConnection

from appliance.bus.last import LastValues
from appliance.bus.ports import Message
from appliance.bus.services import TopicValue, current_rate, read_many, read_state, remember
from appliance.bus.values import read_payload

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
Connection = AsyncConnection[Any]


def seen(topic: str, payload: bytes, after: float = 0.0) -> TopicValue:
    return TopicValue(topic, payload, NOW + timedelta(seconds=after))


async def row(connection: Connection, topic: str) -> dict[str, Any]:
    cursor = await connection.execute(
        "SELECT payload, size, value, quality, at, count, rate FROM bus_topicvalue WHERE topic = %s", (topic,)
    )
    found = await cursor.fetchone()
    assert found
    return dict(zip(("payload", "size", "value", "quality", "at", "count", "rate"), found, strict=True))


async def test_the_last_value_wins_and_all_are_counted(connection: Connection) -> None:
    await remember(connection, [seen("a", b"1"), seen("b", b"x"), seen("a", b'{"v": 2}', 1)])
    await remember(connection, [seen("a", b"3.5", 2)])
    found = await row(connection, "a")
    assert (found["value"], found["count"], found["at"]) == (3.5, 3, NOW + timedelta(seconds=2))
    assert await read_state(connection, "a", None, NOW) == 3.5
    assert await read_state(connection, "b", None, NOW) == "x"
    assert await read_state(connection, "none", None, NOW) is None


async def test_a_value_older_than_asked_for_is_no_value(connection: Connection) -> None:
    await remember(connection, [seen("a", b"1")])
    later = NOW + timedelta(seconds=11)
    assert await read_state(connection, "a", timedelta(seconds=12), later) == 1
    assert await read_state(connection, "a", timedelta(seconds=10), later) is None


def message(payload: bytes, after: float, *, replay: bool) -> Message:
    return Message("mode", payload, 1, replay, False, 1, NOW + timedelta(seconds=after))


A, B = b'"auto"', b'"manual"'
LONG = b'"' + b"a" * 600 + b'"'
Batch = Sequence[tuple[bytes, float, bool]]


@pytest.mark.parametrize(
    ("batches", "age"),
    [
        pytest.param([[(A, 0, True)]], None, id="never heard live"),
        pytest.param([[(A, 0, True)], [(A, 9, True)]], None, id="again what was of unknown age"),
        pytest.param([[(A, 0, True), (A, 9, True)]], None, id="twice in one batch"),
        pytest.param([[(A, 0, True)], [(A, 9, False)]], 1, id="live ends it"),
        pytest.param([[(A, 0, False)], [(A, 9, True)]], 10, id="said again at a subscription"),
        pytest.param([[(A, 0, False)], [(A, 8, True), (A, 9, True)]], 10, id="said again twice"),
        pytest.param([[(A, 0, False), (A, 9, True)]], 10, id="live and again in one batch"),
        pytest.param([[(A, 0, False)], [(B, 9, True)]], None, id="another one meanwhile"),
        pytest.param([[(A, 0, False)], [(B, 8, True), (A, 9, True)]], None, id="another one in between"),
        pytest.param([[(B, 0, False), (A, 9, True)]], None, id="another one in one batch"),
        pytest.param([[(B, 0, True)], [(A, 5, False), (A, 9, True)]], 5, id="live in the middle"),
        pytest.param([[(A, 0, True), (A, 9, False)]], 1, id="live at the end"),
        pytest.param([[(b"1", 0, False)], [(b"1.0", 9, True)]], None, id="the same number otherwise written"),
        pytest.param([[(LONG, 0, False)], [(LONG, 9, True)]], None, id="too long to be compared"),
        pytest.param([[(LONG, 0, False), (LONG, 9, True)]], None, id="too long, in one batch"),
        pytest.param([[(LONG, 0, False)]], 10, id="long and live"),
    ],
)
async def test_what_a_broker_says_again_at_a_subscription_is_as_old_as_it_was(
    connection: Connection, batches: Sequence[Batch], age: float | None
) -> None:
    """``age``: how old the value is at the end, ten seconds after the beginning; None: nobody knows."""
    memory, loaded, now = LastValues(), LastValues(), NOW + timedelta(seconds=10)
    for batch in batches:
        messages = [message(payload, after, replay=replay) for payload, after, replay in batch]
        await loaded.load(connection)  # as after a restart
        await remember(connection, [TopicValue.from_message(one) for one in messages])
        for one in messages:
            memory.take(one, read_payload(one.payload))
            loaded.take(one, read_payload(one.payload))
    again = LastValues()
    await again.load(connection)
    value = await read_state(connection, "mode", None, now)
    assert value is not None
    for seconds in (0.5, 1, 4, 5, 9, 10, 10**6):
        wanted = value if age is not None and age <= seconds else None
        most = timedelta(seconds=seconds)
        assert await read_state(connection, "mode", most, now) == wanted, seconds
        assert [one.reader(now)("mode", most) for one in (memory, loaded, again)] == [wanted] * 3, seconds
    assert [one.reader(now)("mode", None) for one in (memory, loaded, again)] == [value] * 3
    (kept,) = (await read_many(connection, ["mode"])).values()
    assert isinstance(kept, dict)
    assert kept["at"] == (None if age is None else (now - timedelta(seconds=age)).isoformat())


async def test_what_is_said_again_is_counted_and_is_no_traffic(connection: Connection) -> None:
    await remember(connection, [seen("a", b"1")])
    before = await row(connection, "a")
    again = TopicValue("a", b"1", NOW + timedelta(seconds=1), retained=True)
    await remember(connection, [again])
    after = await row(connection, "a")
    assert (after["at"], after["rate"], after["count"]) == (before["at"], before["rate"], 2)


@pytest.mark.parametrize(
    "payload",
    [
        b"\xff\x00",
        b"a\x00b",
        b'"\\u0000"',
        b'"\\ud800"',
        b"NaN",
        b"1e999",
        b"[" * 9000,
        b"1" * 20000,
        b"9" * 5000,
    ],
)
async def test_hostile_payloads_are_stored_or_flagged_and_break_nothing(
    connection: Connection, payload: bytes
) -> None:
    assert await remember(connection, [seen("good", b"1"), seen("bad", payload)]) == 0
    found = await row(connection, "bad")
    assert found["size"] == len(payload)
    assert bytes(found["payload"]) == payload[:512]
    assert (await row(connection, "good"))["value"] == 1


async def test_hostile_topics_are_left_out(connection: Connection) -> None:
    values = [seen("a\x00b", b"1"), seen("x" * 3000, b"1"), seen("fine", b"1")]
    assert await remember(connection, values) == 2
    assert await read_state(connection, "fine", None, NOW) == 1


async def test_no_more_topics_than_the_limit_are_kept_and_known_ones_go_on(connection: Connection) -> None:
    flood = [seen(f"flood/{n}", b"1") for n in range(30)]
    assert await remember(connection, flood, limit=10) == 20
    assert await remember(connection, [seen("flood/0", b"2", 1), seen("late", b"1", 1)], limit=10) == 1
    cursor = await connection.execute("SELECT count(*), sum(count) FROM bus_topicvalue")
    assert await cursor.fetchone() == (10, 11)
    assert await read_state(connection, "flood/0", None, NOW) == 2


async def test_the_rate_follows_the_messages_and_fades_without_them(connection: Connection) -> None:
    for second in range(120):
        await remember(connection, [seen("a", b"1", second)] * 5)
    found = await row(connection, "a")
    assert found["rate"] == pytest.approx(5, rel=0.1)
    assert current_rate(found["rate"], found["at"], found["at"] + timedelta(seconds=60)) < 1


async def test_updates_stay_in_their_page(connection: Connection) -> None:
    for number in range(200):
        await remember(connection, [seen("a", str(number).encode(), number)])
    await connection.execute("SELECT pg_stat_force_next_flush()")
    cursor = await connection.execute(
        "SELECT n_tup_hot_upd, n_tup_upd FROM pg_stat_user_tables WHERE relname = 'bus_topicvalue'"
    )
    hot, updates = await cursor.fetchone() or (0, 0)
    assert updates >= 199
    assert hot > updates * 0.9
