"""How the client stays alive and keeps its limits, on every broker."""

import asyncio
import contextlib
import socket
from dataclasses import replace

import pytest

from appliance.bus.client import BusClient
from appliance.bus.errors import BusAway, PayloadTooLarge, TopicRefused
from appliance.bus.ports import Delivery, Message, Will
from appliance.bus.publish_once import publish_once
from tests.brokers import Broker
from tests.desk import FAST, Desk, Inbox
from tests.wait import wait_for_async


async def test_bad_topics_and_oversize_payloads_never_reach_the_wire(broker: Broker) -> None:
    async with Desk(broker.url) as desk:
        writer = await desk.client("writer", clean=True)
        for topic in ("a b", "a\tb", "a\nb", "a\x00b", "a/+", "a/#", "", "$SYS/x", "x" * 2000):
            with pytest.raises(TopicRefused):
                await writer.publish(topic, b"x")
        with pytest.raises(PayloadTooLarge):
            await writer.publish("a", bytes(1024 * 1024 + 1))
        with pytest.raises(TopicRefused):
            await writer.set_filters({"a b/+"})
        await writer.publish("a", b"fine")
        assert writer.health().connections == 1


async def test_the_socket_does_not_wait_to_fill_packets(broker: Broker) -> None:
    async with Desk(broker.url) as desk:
        client = await desk.client("any", clean=True)
        assert client._connection
        sock = client._connection._flow.socket
        assert sock
        assert sock.raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


async def test_a_handler_that_fails_for_one_message_does_not_stop_the_others(broker: Broker) -> None:
    set_aside: list[str] = []

    async def on_poison(message: Message, error: Exception) -> None:
        set_aside.append(message.payload.decode())

    def fault(batch: list[Delivery]) -> None:
        if any(delivery.message.payload == b"bad" for delivery in batch):
            raise ZeroDivisionError("a bug in the handler")

    async with Desk(broker.url) as desk:
        inbox = Inbox()
        inbox.fault = fault
        reader = await desk.client("reader", inbox=inbox, filters={"a/+"}, on_poison=on_poison)
        writer = await desk.client("writer", clean=True)
        inbox.gate.clear()
        for payload in (b"1", b"bad", b"2"):
            await writer.publish("a/b", payload)
        inbox.gate.set()
        await wait_for_async(lambda: inbox.payloads == ["1", "2"])
        await wait_for_async(lambda: set_aside == ["bad"])
        await wait_for_async(lambda: reader.health().in_hand == 0)
        assert reader.health().connections == 1


async def test_a_handler_whose_database_is_away_gets_the_same_messages_again(broker: Broker) -> None:
    failures = 3

    def fault(batch: list[Delivery]) -> None:
        nonlocal failures
        if failures:
            failures -= 1
            raise ConnectionRefusedError("the database is away")

    async with Desk(broker.url) as desk:
        inbox = Inbox()
        inbox.fault = fault
        reader = await desk.client("reader", inbox=inbox, filters={"a/+"})
        writer = await desk.client("writer", clean=True)
        for number in range(5):
            await writer.publish("a/b", str(number).encode())
        await wait_for_async(lambda: len(inbox.deliveries) == 5)
        assert inbox.payloads == ["0", "1", "2", "3", "4"]
        assert reader.health().poisoned == 0


async def test_an_exception_inside_a_network_callback_is_counted_and_survived(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Desk(broker.url) as desk:
        inbox = Inbox()
        reader = await desk.client("reader", inbox=inbox, filters={"a/+"})
        original = reader._reception.batches.put
        calls = 0

        def put(held: object) -> None:
            nonlocal calls
            calls += 1
            if calls == 1:
                raise RuntimeError("in the callback")
            original(held)  # type: ignore[arg-type] # what the client passes, passed on

        monkeypatch.setattr(reader._reception.batches, "put", put)
        writer = await desk.client("writer", clean=True)
        await writer.publish("a/b", b"hits the bug")
        await writer.publish("a/b", b"next")
        await wait_for_async(lambda: "next" in inbox.payloads)
        assert reader.health().callback_failures == 1
        assert reader.health().connected


async def test_a_publish_while_disconnected_is_refused_at_once_or_waits_as_asked(broker: Broker) -> None:
    async with Desk(broker.url) as desk:
        writer = await desk.client("writer", clean=True)
        broker.kill()
        await wait_for_async(lambda: not writer.health().connected)
        with pytest.raises(BusAway):
            await writer.publish("a", b"x", wait=False)
        with pytest.raises(BusAway):
            await writer.publish("a", b"x", timeout=0.2)
        broker.start()
        await writer.publish("a", b"x", timeout=20)


async def test_wrong_password_is_said_and_tried_again_with_patience(broker: Broker) -> None:
    async with Desk(broker.url) as desk:
        client = await desk.client("any", url=broker.url.replace(":only", ":not"), connected=False)
        with pytest.raises(BusAway, match=r"refused the log-in.*password"):
            await client.wait_connected(1.5)
        assert not client.health().connected


async def test_the_last_will_speaks_when_a_client_dies_and_not_when_it_leaves(broker: Broker) -> None:
    async with Desk(broker.url) as desk:
        inbox = Inbox()
        await desk.client("watcher", inbox=inbox, filters={"status/+"})
        leaving = await desk.client("leaving", clean=True, will=Will("status/leaving", b"gone", retain=False))
        dying = await desk.client("dying", clean=True, will=Will("status/dying", b"gone", retain=False))
        await leaving.stop()
        await desk.crash(dying)
        await wait_for_async(lambda: inbox.deliveries)
        assert [d.message.topic for d in inbox.deliveries] == ["status/dying"]


async def test_reading_stops_when_the_queue_is_full_and_nothing_is_lost(broker: Broker) -> None:
    async with Desk(broker.url) as desk:
        inbox = Inbox()
        inbox.gate.clear()
        small = replace(FAST, max_queue=10, max_batch=5)
        reader = await desk.client("reader", inbox=inbox, filters={"a/+"}, options=small)
        writer = await desk.client("writer", clean=True)
        await asyncio.gather(*(writer.publish("a/b", str(n).encode()) for n in range(200)))
        await wait_for_async(lambda: reader.health().paused)
        assert reader.health().queue_depth <= 10 + 5
        inbox.gate.set()
        await wait_for_async(lambda: len(inbox.deliveries) == 200)
        assert inbox.payloads == [str(n) for n in range(200)]
        assert not reader.health().paused


async def test_acknowledgements_may_come_from_any_thread(broker: Broker) -> None:
    async with Desk(broker.url) as desk:
        inbox = Inbox(acknowledge=False)
        reader = await desk.client("reader", inbox=inbox, filters={"a/+"})
        writer = await desk.client("writer", clean=True)
        for number in range(20):
            await writer.publish("a/b", str(number).encode())
        await wait_for_async(lambda: len(inbox.deliveries) == 20)
        await asyncio.gather(*(asyncio.to_thread(d.ack) for d in inbox.deliveries for _ in range(2)))
        await wait_for_async(lambda: reader.health().in_hand == 0)
        assert reader.health().acknowledged == 20


async def test_the_one_shot_publish_of_a_form_arrives(broker: Broker) -> None:
    async with Desk(broker.url) as desk:
        inbox = Inbox()
        await desk.client("reader", inbox=inbox, filters={"form/+"})
        await asyncio.to_thread(publish_once, broker.url, "form/x", b"by hand")
        await wait_for_async(lambda: inbox.payloads == ["by hand"])
        with pytest.raises(BusAway, match="log-in"):
            await asyncio.to_thread(publish_once, broker.url.replace(":only", ":not"), "form/x", b"")
        with pytest.raises(TopicRefused):
            publish_once(broker.url, "a b", b"")


class Sluice:
    """A TCP relay that can stop passing bytes while both connections stay open."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._open = asyncio.Event()
        self._open.set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    def shut(self) -> None:
        self._open.clear()

    def reopen_for_new_connections(self) -> None:
        self._open = asyncio.Event()
        self._open.set()

    async def stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        back_reader, back_writer = await asyncio.open_connection("127.0.0.1", self._target)
        with contextlib.suppress(OSError):
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._pass(reader, back_writer, self._open))
                    group.create_task(self._pass(back_reader, writer, self._open))
            finally:
                writer.close()
                back_writer.close()

    async def _pass(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, valve: asyncio.Event
    ) -> None:
        while data := await source.read(4096):
            await valve.wait()
            sink.write(data)
            await sink.drain()
        sink.close()


async def test_a_connection_that_is_open_but_dead_is_found_out_and_rebuilt(broker: Broker) -> None:
    sluice = Sluice(broker.port)
    port = await sluice.start()
    url = broker.url.replace(str(broker.port), str(port))
    try:
        async with Desk(url) as desk:
            client: BusClient = await desk.client("any", clean=True)
            await wait_for_async(lambda: client.health().round_trip is not None)
            sluice.shut()
            await wait_for_async(lambda: "no round trip" in (client.health().last_error or ""))
            sluice.reopen_for_new_connections()
            await wait_for_async(lambda: client.health().connected, timeout=15)
            await client.publish("a", b"alive", timeout=5)
    finally:
        await sluice.stop()
