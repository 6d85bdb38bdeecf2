"""NATS repeats what it has no acknowledgement of, on the connection that holds it: none of it is taken twice."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.bus.client import BusClient
from tests.brokers import Nats
from tests.desk import FAST, Desk, Inbox
from tests.wait import wait_for_async

REPEATS = 1.0
"""Seconds after which it repeats."""
MANY = 200
PATIENT = replace(FAST, ping_patience=60.0, keepalive=120)
"""A client that bears with a broker that stands still."""


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[Nats]:
    broker = Nats(tmp_path, ack_wait=f"{REPEATS:g}s")
    broker.start()
    yield broker
    broker.stop()


async def stand_still(nats: Nats, reader: BusClient) -> None:
    """Stop the broker while all that the reader holds is about to be repeated: nothing has come just now."""
    assert nats.process
    while True:
        known = reader.health().duplicates_dropped
        await asyncio.sleep(REPEATS / 2)
        if reader.health().duplicates_dropped == known:
            os.kill(nats.process.pid, signal.SIGSTOP)
            await asyncio.sleep(REPEATS / 20)  # what was on its way has come
            if reader.health().duplicates_dropped == known:
                return
            os.kill(nats.process.pid, signal.SIGCONT)


async def test_what_falls_due_before_the_broker_comes_to_its_acknowledgement_is_not_taken_again(
    nats: Nats,
) -> None:
    """As where it syncs acknowledgements to a slow disk: here it stands still until all of them are late."""
    assert nats.process
    async with Desk(nats.url) as desk:
        inbox = Inbox()
        reader = await desk.client("reader", inbox=inbox, filters={"a/+"}, options=PATIENT)
        writer = await desk.client("writer", clean=True, options=PATIENT)
        inbox.gate.clear()
        await asyncio.gather(*(writer.publish("a/b", str(number).encode()) for number in range(MANY)))
        await wait_for_async(lambda: reader.health().duplicates_dropped >= MANY, 20, "each came twice")
        await stand_still(nats, reader)
        stopped = time.monotonic()
        try:
            inbox.gate.set()
            await wait_for_async(lambda: len(inbox.deliveries) >= MANY, 20, "all are taken")
            await wait_for_async(lambda: time.monotonic() > stopped + REPEATS, 20, "all are due")
        finally:
            os.kill(nats.process.pid, signal.SIGCONT)
        await wait_for_async(lambda: reader.health().in_hand == 0, 20, "all are acknowledged")
        await writer.publish("a/b", b"end")
        await wait_for_async(lambda: "end" in inbox.payloads, 20, "the next message comes")
        assert inbox.payloads == [*map(str, range(MANY)), "end"]


async def test_what_waits_for_its_repeat_is_acknowledged_when_the_client_stops(nats: Nats) -> None:
    async with Desk(nats.url) as desk:
        inbox = Inbox()
        reader = await desk.client("reader", inbox=inbox, filters={"a/+"})
        writer = await desk.client("writer", clean=True)
        inbox.gate.clear()
        await writer.publish("a/b", b"once")
        await wait_for_async(lambda: reader.health().duplicates_dropped == 1, 20, "it came twice")
        came = time.monotonic()
        await wait_for_async(lambda: time.monotonic() > came + REPEATS / 2, 20, "its next repeat is near")
        inbox.gate.set()
        await wait_for_async(lambda: inbox.deliveries, 20, "it is taken")
        await reader.stop()
        assert (reader.health().acknowledged, reader.health().in_hand) == (1, 0)
        await desk.client("reader", inbox=inbox, filters={"a/+"})
        await writer.publish("a/b", b"end")
        await wait_for_async(lambda: "end" in inbox.payloads, 20, "the next message comes")
        assert inbox.payloads == ["once", "end"]
