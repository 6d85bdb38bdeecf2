"""A box with a broker of its own that reads the device accounts."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from django.db import connections

from appliance.lib.config import Config, read_config
from tests.brokers import PASSWORD, USER, Nats


@pytest.fixture
def box(tmp_path: Path) -> Iterator[tuple[Nats, Config]]:
    home = tmp_path / "a box"
    folder = home / "nats"
    folder.mkdir(parents=True)
    entry = f'  {{user: "{USER}", password: "{PASSWORD}"}}\n'
    (folder / "box.conf").write_text(entry)
    (folder / "users.conf").write_text(f"users = [\n{entry}]\n")
    broker = Nats(folder, users='include "users.conf"')
    broker.start()
    config = read_config({"MILLWRIGHT_HOME": str(home), "MILLWRIGHT_MQTT_LISTEN": f"127.0.0.1:{broker.port}"})
    yield broker, config
    broker.stop()


@pytest_asyncio.fixture
async def services_from_the_loop(transactional_db: None) -> AsyncIterator[None]:
    """For a test that calls services from its loop: they leave a connection open in asgiref's thread."""
    yield
    await sync_to_async(connections.close_all)()
