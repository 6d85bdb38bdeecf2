"""What this box's network monitor looks at."""

import asyncio
import socket
from contextlib import closing
from dataclasses import replace
from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from appliance.accounts.principal import BOX
from appliance.bus.brokers.domain import BrokerSpec
from appliance.bus.brokers.services import save_broker, switch_broker
from appliance.lib.clock import SystemClock
from appliance.lib.config import Config
from appliance.outbox.network.domain import Edge
from appliance.processes.network import network_monitor
from tests.database import address, emptied

READ = "SELECT name, state FROM outbox_networktarget WHERE kind = 'broker'"


def test_each_further_broker_that_is_switched_on_is_watched(engines: Config, transactional_db: None) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        plant = BrokerSpec(name="plant", url=f"mqtt://127.0.0.1:{listening.getsockname()[1]}")
        for spec in (plant, replace(plant, name="off")):
            save_broker(spec, BOX, SystemClock().now())
        switch_broker("off", False, BOX, SystemClock().now())
        assert asyncio.run(looked_at(engines)) == [("broker/plant", "up")]


async def looked_at(config: Config) -> list[tuple[Any, ...]]:
    """The brokers that are on record after one look."""
    told: list[Edge] = []
    async with AsyncConnectionPool[AsyncConnection[Any]](
        address(), min_size=1, max_size=3, kwargs={"autocommit": True}, open=False
    ) as pool:
        async with pool.connection() as connection:
            await connection.execute(emptied("outbox_networktarget"))
        await network_monitor(pool, SystemClock(), config, told.extend).round()
        async with pool.connection() as connection:
            return await (await connection.execute(READ)).fetchall()
