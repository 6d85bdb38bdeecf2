"""What tests of the agent share: a database of somebody else."""

from collections.abc import Iterator

import pytest

from appliance.agent.suite.shop import Shop
from appliance.lib.config import Config


@pytest.fixture(scope="session")
def suite_shop(engines: Config) -> Iterator[Shop]:
    """Making a database takes longer than anything in it."""
    shop = Shop(engines.home)
    shop.open()
    yield shop
    shop.close()
