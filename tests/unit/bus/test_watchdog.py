"""The watchdog's verdict."""

from datetime import timedelta

from appliance.bus.watchdog import Watchdog
from appliance.lib.clock import ManualClock


def watchdog(clock: ManualClock, topic: str | None = "millwright/b/ping/me") -> Watchdog:
    return Watchdog(topic, clock, every=10, patience=5)


def test_a_round_trip_that_stays_out_is_overdue_once_one_has_worked() -> None:
    clock = ManualClock()
    dog = watchdog(clock)
    token = dog.due()
    assert token
    assert dog.due() is None
    clock.advance(timedelta(seconds=1))
    dog.came_back(token)
    assert dog.round_trip == 1
    clock.advance(timedelta(seconds=9))
    assert dog.due()
    clock.advance(timedelta(seconds=6))
    assert dog.is_overdue
    dog.restart()
    assert not dog.is_overdue


def test_a_broker_that_forbids_the_topic_is_not_condemned() -> None:
    clock = ManualClock()
    dog = watchdog(clock)
    assert dog.due()
    clock.advance(timedelta(seconds=60))
    assert not dog.is_overdue
    assert dog.due()


def test_somebody_elses_token_counts_for_nothing() -> None:
    clock = ManualClock()
    dog = watchdog(clock)
    dog.due()
    dog.came_back(b"other")
    assert dog.round_trip is None


def test_without_a_topic_there_is_no_verdict() -> None:
    dog = watchdog(ManualClock(), None)
    assert dog.due() is None
    assert not dog.is_overdue


def test_tokens_of_the_boxs_clients_are_kept_from_the_handler_and_nothing_else_is() -> None:
    dog = watchdog(ManualClock())
    assert dog.takes("millwright/b/ping/me", b"x")
    assert dog.takes("millwright/b/ping/worker", b"x")
    assert not dog.takes("millwright/b/cmd/stop", b"x")
    assert not dog.takes("millwright/c/ping/me", b"x")
