"""A box's engine with its own broker (NATS) and one beside it (Mosquitto), all real."""

import os
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async

from appliance.accounts.principal import BOX
from appliance.bus.brokers.domain import BrokerSpec
from appliance.bus.brokers.services import save_broker
from appliance.bus.client import BusClient
from appliance.bus.options import BusOptions
from appliance.lib.config import Config, read_config
from appliance.processes.brokers import InboundBrokers
from appliance.runs.intake import Intake
from appliance.tasks.arming import load_table
from tests.brokers import PASSWORD, USER, Broker, BrokerMissingError, Mosquitto, Nats
from tests.integration.runs.conftest import Engine, clean, engine, pool, silent_hints

__all__ = ["clean", "engine", "pool", "silent_hints"]

PLANT = "plant"


def _started(broker: Broker) -> Iterator[Broker]:
    broker.folder.mkdir()
    try:
        broker.start()
    except BrokerMissingError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))
    yield broker
    broker.stop()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Broker]:
    yield from _started(Nats(tmp_path / "own"))


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Broker]:
    yield from _started(Mosquitto(tmp_path / "plant"))


@dataclass
class Reception:
    """The inbound half of a reactor: the own client, the further ones, and one intake behind them all."""

    engine: Engine
    config: Config
    hinted: list[UUID] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.intake = Intake(self.engine.pool, self.engine.clock, self.hinted.extend)
        self.own = BusClient(
            self.config.mqtt_url, "reactor", clean=False, box="b", on_batch=self.intake.deliver
        )
        self.live_again()
        self.clients: list[BusClient] = []

    def live_again(self) -> None:
        """The next life of the reactor, as far as the further brokers can tell."""
        self.brokers = InboundBrokers(self.engine.pool, self.config, self.intake.deliver)

    async def start(self) -> None:
        await self.sync()
        await self.own.start()
        await self.own.wait_connected(15)

    async def load(self, text: str) -> None:
        await self.engine.load(text)
        await self.sync()

    async def sync(self) -> None:
        """As the reactor does twice a second."""
        self.intake.table = await sync_to_async(load_table)()
        await self.own.set_filters(self.intake.table.filters | {"#"})
        await self.brokers.sync(self.intake.table)

    async def client(self, url: str) -> BusClient:
        """A device of one of the brokers."""
        device = BusClient(
            url, f"device-{len(self.clients)}", clean=True, options=BusOptions(retry_cap=0.5, retry_base=0.1)
        )
        await device.start()
        await device.wait_connected(15)
        self.clients.append(device)
        return device

    async def runs(self, task: str) -> int:
        return await self.engine.count(
            f"runs_run r JOIN tasks_task t ON t.id = r.task_id AND t.name = '{task}'"
        )

    def connected(self, name: str = PLANT) -> bool:
        health = self.brokers.health().get(name)
        return bool(health and health[0])

    def message(self, name: str = PLANT) -> str:
        return str(self.brokers.health()[name][1]["message"])

    async def stop(self) -> None:
        for one in [*self.clients, self.own]:
            await one.stop()
        await self.brokers.stop()


@pytest.fixture
async def reception(engine: Engine, own: Broker, tmp_path: Path) -> AsyncIterator[Reception]:
    config = read_config({"MILLWRIGHT_HOME": str(tmp_path / "home"), "MQTT_URL": own.url})
    made = Reception(engine, config)
    yield made
    await made.stop()


def spec_of(broker: Broker, name: str = PLANT, *, filters: Iterable[str] = ()) -> BrokerSpec:
    return BrokerSpec(
        name,
        f"mqtt://127.0.0.1:{broker.port}",
        username=USER,
        password=f"secret:broker-{name}",
        filters=tuple(filters),
    )


async def connect(reception: Reception, spec: BrokerSpec, password: str = PASSWORD) -> None:
    """Keep a broker's row, and its password as a secret."""
    await sync_to_async(save_broker)(
        replace(spec, password=""), BOX, reception.engine.clock.now(), password=password
    )
