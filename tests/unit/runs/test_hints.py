"""Hints go out from a thread of their own: whoever hints never waits, and a burst is bounded."""

import threading
from collections.abc import Iterator
from uuid import UUID

import pytest

from appliance.lib.identity import uuid7
from appliance.runs.hints import HintSender
from tests.wait import wait_for


class Broker:
    """Takes hints, or holds whoever sends one, as a frozen Redis does."""

    def __init__(self) -> None:
        self.thawed = threading.Event()
        self.thawed.set()
        self.sent: list[list[str]] = []

    def take(self, run_ids: list[str]) -> None:
        self.sent.append(run_ids)
        assert self.thawed.wait(30)


@pytest.fixture
def broker() -> Iterator[Broker]:
    made = Broker()
    yield made
    made.thawed.set()


def ids(count: int) -> list[UUID]:
    return [uuid7() for _ in range(count)]


def test_hints_arrive(broker: Broker) -> None:
    sender, wanted = HintSender(broker.take), ids(3)
    sender.put(wanted)
    assert sender.flush(10)
    assert broker.sent == [[str(run_id) for run_id in wanted]]


def test_a_frozen_broker_holds_nobody_and_what_gathers_meanwhile_goes_together(broker: Broker) -> None:
    broker.thawed.clear()
    sender = HintSender(broker.take)
    sender.put(ids(1))
    wait_for(lambda: broker.sent)
    meanwhile = ids(5)
    for run_id in meanwhile:
        sender.put([run_id])
    assert not sender.flush(0)
    broker.thawed.set()
    assert sender.flush(10)
    assert broker.sent[1:] == [[str(run_id) for run_id in meanwhile]]


def test_what_waits_is_bounded(broker: Broker) -> None:
    broker.thawed.clear()
    sender = HintSender(broker.take, most=10)
    sender.put(ids(1))
    wait_for(lambda: broker.sent)
    for _ in range(100):
        sender.put(ids(3))
    broker.thawed.set()
    assert sender.flush(10)
    assert [len(batch) for batch in broker.sent] == [1, 10]


def test_a_broker_that_refuses_costs_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    sender = HintSender(_refuse)
    for _ in range(5):
        sender.put(ids(1))
        assert sender.flush(10)
    assert [record.message for record in caplog.records] == [
        "hints are not sent, runs begin up to a second later: connection refused"
    ]


def _refuse(run_ids: list[str]) -> None:
    raise ConnectionError("connection refused")
