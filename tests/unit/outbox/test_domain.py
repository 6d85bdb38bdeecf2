"""Pace and the circuit breaker, with time as a parameter."""

from datetime import UTC, datetime, timedelta

import pytest

from appliance.lib.identity import time_of, uuid7
from appliance.outbox.domain import FINAL, OPEN, Breaker, BreakerState, Bucket, OutboxState
from appliance.outbox.errors import OutboxRefused
from appliance.outbox.ports import OutboxItem

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def later(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def broken(times: int = 3) -> Breaker:
    breaker = Breaker()
    for _ in range(times):
        breaker.failed(NOON)
    return breaker


def test_every_state_is_either_open_or_final() -> None:
    assert frozenset(OutboxState) == OPEN | FINAL
    assert not OPEN & FINAL


def test_the_breaker_opens_at_the_threshold_and_lets_one_through_after_its_pause() -> None:
    assert broken(2).state(NOON) is BreakerState.CLOSED
    breaker = broken()
    assert breaker.state(later(1.7)) is BreakerState.OPEN
    assert breaker.state(later(2.3)) is BreakerState.HALF_OPEN


def test_a_failed_probe_opens_it_for_longer_up_to_a_minute() -> None:
    breaker = broken()
    breaker.failed(later(10))
    assert breaker.state(later(13)) is BreakerState.OPEN
    for number in range(10):
        breaker.failed(later(100 * (number + 1)))
    assert breaker.state(later(1050)) is BreakerState.OPEN
    assert breaker.state(later(1067)) is BreakerState.HALF_OPEN


def test_what_was_under_way_when_it_opened_does_not_make_the_pause_longer() -> None:
    assert broken(8).failures == 3


def test_success_closes_it() -> None:
    breaker = broken()
    breaker.succeeded()
    assert breaker.state(NOON) is BreakerState.CLOSED
    breaker.failed(NOON)
    assert breaker.state(NOON) is BreakerState.CLOSED


def test_a_reason_to_believe_ends_the_pause_with_one_try_only() -> None:
    breaker = broken()
    breaker.try_now()
    assert breaker.state(NOON) is BreakerState.HALF_OPEN
    breaker.failed(NOON)
    assert breaker.state(later(1)) is BreakerState.OPEN


def test_a_clock_set_back_by_an_hour_does_not_keep_it_open() -> None:
    assert broken().state(later(-3600)) is BreakerState.HALF_OPEN


def test_the_bucket_gives_what_was_saved_up_and_then_its_rate() -> None:
    bucket = Bucket()
    assert bucket.whole(0, 10, 3) == 3
    for _ in range(3):
        bucket.take()
    assert bucket.whole(0.05, 10, 3) == 0
    assert bucket.next_in(10) == pytest.approx(0.05)
    assert bucket.whole(0.1, 10, 3) == 1
    assert bucket.whole(60, 10, 3) == 3


def test_without_a_limit_the_bucket_does_not_count() -> None:
    bucket = Bucket()
    bucket.take()
    assert bucket.whole(0, None, 1) is None
    assert bucket.next_in(None) is None


def test_in_any_second_no_more_goes_out_than_the_rate_and_the_burst() -> None:
    bucket, sent = Bucket(), 0
    for step in range(100):
        for _ in range(bucket.whole(step / 100, 25, 5) or 0):
            bucket.take()
            sent += 1
    assert 25 <= sent <= 30


def test_a_platform_that_asks_for_patience_loses_what_it_saved_up() -> None:
    bucket = Bucket()
    assert bucket.whole(0, 10, 5) == 5
    bucket.drain()
    assert bucket.whole(0, 10, 5) == 0


def test_a_key_gives_one_identifier_at_the_time_of_its_run() -> None:
    run = uuid7()
    one = OutboxItem("r/s", "chat", {}, run_id=run)
    assert one.id == OutboxItem("r/s", "other", {"text": "x"}, run_id=run).id
    assert one.id != OutboxItem("r/t", "chat", {}, run_id=run).id
    assert time_of(one.id) == time_of(run)


def test_an_item_of_no_run_carries_its_own_time() -> None:
    assert time_of(OutboxItem("k", "chat", {}, at=NOON).id) == NOON
    with pytest.raises(OutboxRefused, match="neither a run nor a time"):
        _ = OutboxItem("k", "chat", {}).id
