"""The broker killed again and again, under load: what it acknowledged is on its disk."""

import random
import time

import pytest

from tests.acceptance.box import House
from tests.acceptance.chaos.boxes import kill_and_wait
from tests.acceptance.chaos.load import under_load
from tests.acceptance.crashes.tasks import Notebook

TIMES = 5

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("logs")]


def test_a_killed_broker_loses_nothing_that_it_acknowledged(
    house: House, notebook: Notebook, request: pytest.FixtureRequest
) -> None:
    chance = random.Random(f"{request.config.getoption('--sample-seed')}/broker")
    with under_load(house, notebook) as load:
        for _ in range(TIMES):
            load.broker_died.append(time.monotonic())
            kill_and_wait(house.box, "nats")
            load.goes_on()
            time.sleep(chance.uniform(0.2, 2))
