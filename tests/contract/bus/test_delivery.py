"""What the bus promises about messages that come in, on every broker."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from tests.brokers import Broker
from tests.desk import FAST, Desk, Inbox
from tests.wait import wait_for_async


async def test_a_published_message_arrives_and_its_publisher_has_the_brokers_word(broker: Broker) -> None:
    async with Desk(broker.url) as desk:
        inbox = Inbox()
        await desk.client("reader", inbox=inbox, filters={"plant/+/temp"})
        writer = await desk.client("writer", clean=True)
        await writer.publish("plant/p1/temp", "61.2 °C".encode(), timeout=5)
        await wait_for_async(lambda: inbox.deliveries)
        message = inbox.deliveries[0].message
        assert (message.topic, message.payload.decode(), message.qos) == ("plant/p1/temp", "61.2 °C", 1)
        assert writer.health().published == 1


async def test_disjoint_filters_give_one_delivery_where_overlapping_ones_were_asked_for(
    broker: Broker,
) -> None:
    async with Desk(broker.url) as desk:
        inbox = Inbox()
        reader = await desk.client(
            "reader", inbox=inbox, filters={"plant/#", "plant/+/temp", "plant/p1/temp", "plant"}
        )
        assert reader.health().filters == {"plant/#"}
        writer = await desk.client("writer", clean=True)
        for number in range(5):
            await writer.publish("plant/p1/temp", str(number).encode())
        await writer.publish("plant/end", b"end")
        await wait_for_async(lambda: "end" in inbox.payloads)
        assert inbox.payloads == ["0", "1", "2", "3", "4", "end"]


async def test_what_is_not_acknowledged_comes_again_after_the_client_was_killed(broker: Broker) -> None:
    async with Desk(broker.url) as desk:
        first = Inbox(acknowledge=False)
        reader = await desk.client("reader", inbox=first, filters={"a/+"})
        writer = await desk.client("writer", clean=True)
        for number in range(6):
            await writer.publish("a/b", str(number).encode())
        await wait_for_async(lambda: len(first.deliveries) == 6)
        for delivery in first.deliveries[:2]:
            delivery.ack()
        await wait_for_async(lambda: reader.health().acknowledged == 2)
        # The broker has read the acknowledgements once it answers what was written after them.
        await reader.publish("elsewhere", b"", timeout=5)
        await desk.crash(reader)
        await writer.publish("a/b", b"6")
        second = Inbox()
        await desk.client("reader", inbox=second, filters={"a/+"})
        await wait_for_async(lambda: len(second.deliveries) >= 5)
        assert sorted(second.payloads) == ["2", "3", "4", "5", "6"]


@pytest.mark.parametrize("catch_up", [60.0, 0.0])
async def test_what_waited_at_the_broker_while_the_client_was_away_is_told_from_what_came_live(
    broker: Broker, catch_up: float
) -> None:
    async with Desk(broker.url) as desk:
        options = replace(FAST, catch_up=catch_up)
        first, second = Inbox(), Inbox()
        reader = await desk.client("reader", inbox=first, filters={"a/+"}, options=options)
        writer = await desk.client("writer", clean=True)
        await writer.publish("a/b", b"live")
        await wait_for_async(lambda: first.deliveries)
        await desk.crash(reader)
        await writer.publish("a/b", b"waits")
        await desk.client("reader", inbox=second, filters={"a/+"}, options=options)
        await wait_for_async(lambda: "waits" in second.payloads)
        (waited,) = [one.message for one in second.deliveries if one.message.payload == b"waits"]
        assert [one.message.queued for one in first.deliveries] == [False]
        assert waited.queued is (catch_up > 0)


async def test_what_the_broker_confirmed_survives_kill_9_of_the_broker(broker: Broker) -> None:
    async with Desk(broker.url) as desk:
        inbox = Inbox()
        reader = await desk.client("reader", inbox=inbox, filters={"a/+"})
        writer = await desk.client("writer", clean=True)
        await writer.publish("a/first", b"first")
        await wait_for_async(lambda: inbox.deliveries)
        await reader.stop()
        for number in range(10):
            await writer.publish("a/b", f"message-{number}".encode(), timeout=5)
        await wait_for_async(lambda: broker.has_saved(b"message-9"))
        broker.kill()
        broker.start()
        late = Inbox()
        await desk.client("reader", inbox=late, filters={"a/+"})
        await wait_for_async(lambda: len(late.deliveries) >= 10)
        assert sorted(set(late.payloads)) == [f"message-{number}" for number in range(10)]


async def test_messages_flow_again_after_kill_9_of_the_broker_without_our_doing(broker: Broker) -> None:
    async with Desk(broker.url) as desk:
        inbox = Inbox()
        reader = await desk.client("reader", inbox=inbox, filters={"a/+"})
        writer = await desk.client("writer", clean=True)
        broker.kill()
        await wait_for_async(lambda: not reader.health().connected)
        publishing = asyncio.create_task(writer.publish("a/b", b"back", timeout=20))
        broker.start()
        await publishing
        await wait_for_async(lambda: "back" in inbox.payloads, timeout=20)
        assert reader.health().connections >= 2


async def test_a_batch_under_way_is_not_delivered_again_by_a_reconnection(broker: Broker) -> None:
    async with Desk(broker.url) as desk:
        inbox = Inbox()
        reader = await desk.client("reader", inbox=inbox, filters={"a/+"})
        writer = await desk.client("writer", clean=True)
        inbox.gate.clear()
        for number in range(4):
            await writer.publish("a/b", str(number).encode())
        await wait_for_async(lambda: reader.health().in_hand == 4)
        assert reader._connection
        reader._connection.abort("cable pulled")
        await wait_for_async(lambda: reader.health().connections == 2)
        await wait_for_async(lambda: reader.health().duplicates_dropped == 4, timeout=40)
        inbox.gate.set()
        await writer.publish("a/b", b"4")
        await wait_for_async(lambda: len(inbox.deliveries) >= 5)
        assert sorted(inbox.payloads) == ["0", "1", "2", "3", "4"]
        await wait_for_async(lambda: reader.health().in_hand == 0)


async def test_the_next_batch_is_all_that_waited_while_the_last_was_handled(broker: Broker) -> None:
    async with Desk(broker.url) as desk:
        inbox = Inbox()
        reader = await desk.client("reader", inbox=inbox, filters={"a/+"})
        writer = await desk.client("writer", clean=True)
        inbox.gate.clear()
        await asyncio.gather(*(writer.publish("a/b", str(n).encode()) for n in range(15)))
        await wait_for_async(lambda: reader.health().in_hand == 15)
        inbox.gate.set()
        await wait_for_async(lambda: len(inbox.deliveries) == 15)
        assert len(inbox.batches) <= 3
        assert inbox.payloads == [str(n) for n in range(15)]


async def test_a_filter_that_a_former_process_left_in_the_session_is_given_back(
    broker: Broker, tmp_path: Path
) -> None:
    file = tmp_path / "session" / "reader.json"
    async with Desk(broker.url) as desk:
        former = await desk.client("reader", inbox=Inbox(), filters={"a/+", "b/+"}, session_file=file)
        await former.stop()
        inbox = Inbox()
        await desk.client("reader", inbox=inbox, filters={"a/#"}, session_file=file)
        writer = await desk.client("writer", clean=True)
        await writer.publish("b/x", b"stale")
        await writer.publish("a/x", b"once")
        await writer.publish("a/end", b"end")
        await wait_for_async(lambda: "end" in inbox.payloads)
        assert inbox.payloads == ["once", "end"]
