"""Redis emptied again and again, and killed, under load: it carries hints, and nothing else."""

import time
from contextlib import suppress

import pytest
import redis

from tests.acceptance.box import House
from tests.acceptance.chaos.boxes import kill
from tests.acceptance.chaos.load import under_load
from tests.acceptance.crashes.tasks import Notebook
from tests.wait import wait_for

ROUNDS = 3
FLUSHES = 12

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("logs")]


def flush(house: House) -> bool:
    with (
        suppress(redis.RedisError),
        redis.Redis.from_url(house.box.config.redis_url, socket_timeout=2) as client,
    ):
        return bool(client.flushall())
    return False


def test_an_emptied_redis_loses_nothing_and_logs_nobody_out(house: House, notebook: Notebook) -> None:
    house.box.manage("cache", "set", "chaos/kept", '{"value": 1}')
    with house.admin() as browser:
        with under_load(house, notebook) as load:
            for number in range(ROUNDS):
                for _ in range(FLUSHES):
                    wait_for(lambda: flush(house), 60, "Redis is emptied")
                    time.sleep(0.3)
                load.goes_on()
                assert browser.get("/runs/").status_code == 200, "still logged in, with an empty Redis"
                if number < ROUNDS - 1:
                    kill(house.box, "redis")
        assert browser.get("/").status_code == 200
    assert house.box.manage("cache", "show", "chaos/kept").strip()
