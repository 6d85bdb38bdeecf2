"""Group commit and its failures, without a broker."""

import asyncio
from datetime import UTC, datetime

import psycopg
import pytest
from django.db import DatabaseError

from appliance.bus.batches import Batches, is_transient
from appliance.bus.errors import BusAway, TopicRefused
from appliance.bus.ports import Delivery, Message
from appliance.bus.window import Held, Window
from tests.wait import wait_for_async

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def held(window: Window, mid: int, payload: bytes = b"x") -> Held:
    taken, _ = window.receive(Message("a", payload, 1, False, False, mid, NOW))
    assert taken
    return taken


def wrapped(error: Exception) -> Exception:
    """As Django's ORM raises it."""
    told = DatabaseError()
    told.__cause__ = error
    return told


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (psycopg.OperationalError(), True),
        (psycopg.errors.TransactionTimeout(), True),
        (psycopg.errors.IdleInTransactionSessionTimeout(), True),
        (psycopg.errors.ReadOnlySqlTransaction(), True),
        (psycopg.errors.UndefinedTable(), True),
        (psycopg.errors.InsufficientPrivilege(), True),
        (psycopg.errors.FeatureNotSupported(), True),
        (psycopg.errors.IndexCorrupted(), True),
        (wrapped(psycopg.OperationalError()), True),
        (ConnectionRefusedError(), True),
        (BusAway("away"), True),
        (TopicRefused("no"), False),
        (KeyError("bug"), False),
        (psycopg.DataError(), False),
        (psycopg.errors.UniqueViolation(), False),
        (psycopg.errors.ProgramLimitExceeded(), False),
        (wrapped(psycopg.DataError()), False),
    ],
)
def test_what_is_away_is_told_from_what_is_wrong(error: Exception, transient: bool) -> None:
    assert is_transient(error) is transient


async def test_messages_acknowledged_before_a_failure_are_not_handed_over_again() -> None:
    window = Window(lambda one: setattr(one, "settled", True))
    seen: list[list[int]] = []

    async def handle(batch: list[Delivery]) -> None:
        seen.append([d.message.mid for d in batch])
        batch[0].ack()
        if len(seen) == 1:
            raise TimeoutError

        for delivery in batch:
            delivery.ack()

    batches = Batches(handle, None, max_batch=10, max_queue=10, max_bytes=1000)
    for mid in (1, 2, 3):
        batches.put(held(window, mid))
    task = asyncio.create_task(batches.run())
    await wait_for_async(lambda: len(seen) == 2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert seen == [[1, 2, 3], [2, 3]]
    assert batches.poisoned == 0


async def test_the_queue_is_full_by_number_or_by_bytes() -> None:
    async def handle(batch: list[Delivery]) -> None:
        raise AssertionError("not started")

    window = Window(lambda one: None)
    batches = Batches(handle, None, max_batch=10, max_queue=3, max_bytes=100)
    batches.put(held(window, 1, b"x" * 99))
    assert not batches.is_full
    batches.put(held(window, 2, b"x"))
    assert batches.is_full
    assert not batches.has_room
