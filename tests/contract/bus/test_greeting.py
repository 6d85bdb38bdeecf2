"""Whether a broker answers is told by a log-in, not by an open socket."""

import os
import signal

import pytest

from appliance.bus.errors import BusAway
from appliance.bus.greeting import greet
from tests.brokers import PASSWORD, Broker


def test_a_broker_that_is_there_answers(broker: Broker) -> None:
    greet(broker.url)


def test_a_broker_that_is_gone_is_away(broker: Broker) -> None:
    broker.kill()
    with pytest.raises(BusAway, match="no connection: Connection refused"):
        greet(broker.url)


def test_a_frozen_broker_is_away_although_its_port_is_open(broker: Broker) -> None:
    assert broker.process is not None
    os.kill(broker.process.pid, signal.SIGSTOP)
    try:
        with pytest.raises(BusAway, match=r"it did not answer the log-in within 0\.3 s"):
            greet(broker.url, timeout=0.3)
    finally:
        os.kill(broker.process.pid, signal.SIGCONT)
    greet(broker.url)


def test_a_wrong_password_is_told(broker: Broker) -> None:
    with pytest.raises(BusAway, match=r"it refused the log-in|it ended the connection"):
        greet(broker.url.replace(PASSWORD, "another"))
