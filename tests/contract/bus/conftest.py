"""One suite for every broker that a box may stand on."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.brokers import BROKERS, Broker, BrokerMissingError


@pytest.fixture(params=sorted(BROKERS))
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Broker]:
    broker = BROKERS[request.param](tmp_path)
    try:
        broker.start()
    except BrokerMissingError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))
    yield broker
    broker.stop()
