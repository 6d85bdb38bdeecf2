"""A client that does not read gets no more than a window ahead; one that talks too much is told, then cut."""

import pytest

from webadmin.gateway import flow


def test_nothing_goes_beyond_the_window_before_the_heartbeat_is_answered() -> None:
    window = flow.Window(0.0)
    window.sent(flow.MARK_EVERY)
    assert window.is_due(0.0)
    first = window.mark(0.0)
    window.sent(flow.WINDOW - flow.MARK_EVERY - 1)
    assert not window.is_full
    window.sent(1)
    assert window.is_full
    assert not window.is_due(1.0), "one at a time"
    assert window.answered(first)
    assert not window.is_full
    assert window.is_due(1.0), "what followed the first one has not been answered for"


def test_a_client_is_late_only_with_an_open_heartbeat() -> None:
    window = flow.Window(0.0)
    assert not window.is_late(1000.0)
    assert not window.is_due(flow.HEARTBEAT_EVERY - 0.1)
    assert window.is_due(flow.HEARTBEAT_EVERY)
    number = window.mark(20.0)
    assert not window.is_late(20.0 + flow.PATIENCE)
    assert window.is_late(20.1 + flow.PATIENCE)
    assert window.answered(number)
    assert not window.is_late(1000.0)


@pytest.mark.parametrize("n", [0, 2, -1])
def test_only_the_open_heartbeat_is_answered(n: int) -> None:
    window = flow.Window(0.0)
    assert window.mark(0.0) == 1
    assert not window.answered(n)
    assert window.answered(1)
    assert not window.answered(1)


def test_a_burst_passes_then_the_rate_and_whoever_goes_on_is_too_much() -> None:
    rate = flow.Rate()
    assert all(rate.passes(0.0) for _ in range(flow.BURST))
    assert not rate.passes(0.0)
    assert 0 < rate.retry_after <= 1 / flow.RATE
    assert rate.passes(1 / flow.RATE)
    for _ in range(flow.MOST_REFUSED):
        assert not rate.passes(1 / flow.RATE)
    assert not rate.is_too_much
    assert not rate.passes(1 / flow.RATE)
    assert rate.is_too_much


def test_a_token_has_a_few_sockets_and_gets_each_back() -> None:
    sockets = flow.Sockets()
    assert all(sockets.take(7) for _ in range(flow.MOST_SOCKETS))
    assert not sockets.take(7)
    assert sockets.take(8)
    sockets.give_back(7)
    assert sockets.take(7)
