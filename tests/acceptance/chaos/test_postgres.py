"""PostgreSQL stopped and killed every few seconds, under load."""

import random
import time

import pytest

from tests.acceptance.box import House
from tests.acceptance.chaos.boxes import database_answers, kill, start, stop
from tests.acceptance.chaos.load import under_load
from tests.acceptance.crashes.tasks import Notebook
from tests.wait import wait_for

TIMES = 6

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("logs")]


def test_a_database_that_goes_and_comes_loses_nothing(
    house: House, notebook: Notebook, request: pytest.FixtureRequest
) -> None:
    chance = random.Random(f"{request.config.getoption('--sample-seed')}/postgres")
    with under_load(house, notebook) as load:
        for number in range(TIMES):
            if number % 2:
                kill(house.box, "postgres")
            else:
                stop(house.box, "postgres")
                time.sleep(chance.uniform(0, 2))
                start(house.box, "postgres")
            wait_for(lambda: database_answers(house.box), 60, "PostgreSQL answers again")
            load.goes_on()
            time.sleep(chance.uniform(0.5, 2.5))
