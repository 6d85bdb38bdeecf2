"""Holds wait for what lay in the broker while the box was down, and never for ever."""

from appliance.processes.backlog import PATIENCE, QUIET, Backlog


def test_it_is_read_when_the_broker_has_nothing_more_to_say() -> None:
    backlog = Backlog(0.0)
    assert not backlog.read(0.1, connected=False, received=0)
    assert not backlog.read(0.5, connected=True, received=0)
    assert not backlog.read(0.6, connected=True, received=400)
    assert not backlog.read(0.6 + QUIET - 0.1, connected=True, received=400)
    assert backlog.read(0.6 + QUIET, connected=True, received=400)


def test_a_busy_bus_or_a_broker_that_is_away_is_not_waited_for_longer_than_that() -> None:
    busy, away = Backlog(100.0), Backlog(100.0)
    for tenth in range(int(PATIENCE * 10)):
        assert not busy.read(100 + tenth / 10, connected=True, received=tenth)
        assert not away.read(100 + tenth / 10, connected=False, received=0)
    assert busy.read(100 + PATIENCE, connected=True, received=10**6)
    assert away.read(100 + PATIENCE, connected=False, received=0)


def test_what_comes_later_does_not_close_it_again() -> None:
    backlog = Backlog(0.0)
    assert backlog.read(PATIENCE, connected=True, received=1)
    assert backlog.read(PATIENCE + 0.1, connected=False, received=2)
