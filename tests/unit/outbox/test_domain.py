"""Pace and breaker, and identifiers that make a key unique."""

from datetime import UTC, datetime

import pytest

from appliance.lib.identity import time_of, uuid7
from appliance.outbox.domain import Breaker, Pacer
from appliance.outbox.errors import OutboxRefused
from appliance.outbox.ports import OutboxItem


def test_the_breaker_opens_after_failures_in_a_row_and_closes_after_a_success() -> None:
    breaker = Breaker(threshold=3, base=2, cap=10)
    for _ in range(2):
        breaker.failed(0)
    assert not breaker.rests(0)
    breaker.failed(0)
    assert breaker.rests(1.5)
    assert not breaker.rests(2.5)
    breaker.failed(3)
    assert breaker.rests(6), "one failure after the pause is enough to rest again, longer"
    breaker.succeeded()
    breaker.failed(10)
    assert not breaker.rests(10)


def test_a_rest_is_never_longer_than_its_cap() -> None:
    breaker = Breaker(threshold=1, base=2, cap=10)
    for _ in range(40):
        breaker.failed(0)
    assert breaker.open_until <= 11


def test_messages_of_one_platform_are_spread_evenly() -> None:
    pacer = Pacer()
    assert [round(pacer.reserve(5.0, 4), 3) for _ in range(3)] == [0, 0.25, 0.5]
    assert pacer.reserve(9.0, 4) == 0
    assert pacer.reserve(9.0, None) == 0


def test_a_key_gives_one_identifier_at_the_time_of_its_run() -> None:
    run = uuid7()
    one = OutboxItem("r/s", "chat", {}, run_id=run)
    assert one.id == OutboxItem("r/s", "other", {"text": "x"}, run_id=run).id
    assert one.id != OutboxItem("r/t", "chat", {}, run_id=run).id
    assert time_of(one.id) == time_of(run)


def test_an_item_of_no_run_carries_its_own_time() -> None:
    at = datetime(2026, 11, 23, tzinfo=UTC)
    assert time_of(OutboxItem("k", "chat", {}, at=at).id) == at
    with pytest.raises(OutboxRefused, match="neither a run nor a time"):
        _ = OutboxItem("k", "chat", {}).id
