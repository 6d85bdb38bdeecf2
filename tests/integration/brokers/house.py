"""The half of a reactor that is about the box's own topics, on the embedded broker with its accounts."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async

from appliance.accounts.domain import Role
from appliance.accounts.principal import CONSOLE
from appliance.bus.client import BusClient
from appliance.bus.ports import Delivery
from appliance.devices import services as devices
from appliance.lib.clock import SystemClock
from appliance.lib.config import Config
from appliance.processes.own_topics import OwnTopics
from appliance.runs.intake import Intake
from appliance.tasks.arming import load_table
from tests.brokers import Nats
from tests.desk import Desk, Inbox
from tests.integration.runs.conftest import Engine
from tests.wait import wait_for_async

TASK = """
- name: greet
  trigger: manual
  vars: {who: nobody}
  actions: [{id: say, type: set, value: "hello {{ vars.who }}"}]
- name: deploy
  principal: engineer
  trigger: manual
  actions: [{id: ask, type: sql, query: "SELECT 1"}]
"""
GREET = TASK.partition("- name: deploy")[0]


@dataclass
class House:
    """The half of a reactor that is about the box's own topics, on the embedded broker with its accounts."""

    engine: Engine
    broker: Nats
    config: Config
    desk: Desk
    hinted: list[UUID] = field(default_factory=list)

    async def start(self) -> None:
        self.id = self.config.home.id
        (row,) = await self.engine.sql("SELECT coalesce(max(seq), 0) AS seq FROM audit_record")
        self.first_record = row["seq"]
        self.out = await self.desk.client("out", clean=True)
        self.own = OwnTopics(self.id, self.out, SystemClock(), self.hinted.extend, "1")
        self.intake = Intake(self.engine.pool, self.engine.clock, self.hinted.extend)
        self.answering = asyncio.create_task(self.own.run())
        self.intake.table = await sync_to_async(load_table)()
        self.inbound = BusClient(self.broker.url, "reactor", clean=False, box="test", on_batch=self.take)
        await self.inbound.set_filters({"#"})
        await self.inbound.start()
        await self.inbound.wait_connected(10)

    async def take(self, deliveries: list[Delivery]) -> None:
        """As the reactor does."""
        others = self.own.sift(deliveries)
        if others:
            await self.intake.deliver(others)

    async def stop(self) -> None:
        self.answering.cancel()
        await self.inbound.stop()

    async def account(self, name: str, commands: Role | None = None) -> "Caller":
        made = await sync_to_async(devices.add_device)(name, CONSOLE, commands=commands, config=self.config)
        url = f"mqtt://{name}:{made.password}@127.0.0.1:{self.broker.port}"
        inbox = Inbox()
        root = f"millwright/{self.id}/cmd/+"
        filters = {f"{root}/reply", f"{root}/{name}/reply"} if commands else None
        client = await self.desk.client(name, url=url, box=None, inbox=inbox, filters=filters)
        return Caller(self, name, client, inbox)

    async def audited(self, kind: str) -> list[dict[str, Any]]:
        """Records of this test, in order: the chain is never emptied."""
        return await self.engine.sql(
            "SELECT principal, body::jsonb -> 'detail' AS detail FROM audit_record "
            "WHERE kind = %s AND seq > %s ORDER BY seq",
            kind,
            self.first_record,
        )


@dataclass
class Caller:
    house: House
    name: str
    client: BusClient
    inbox: Inbox

    async def send(self, command: str, body: Any, *, retain: bool = False) -> None:
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        await self.client.publish(f"millwright/{self.house.id}/cmd/{command}", payload, retain=retain)

    async def ask(self, command: str, body: Any, **how: bool) -> Any:
        """The answer that comes next."""
        before = len(self.inbox.deliveries)
        await self.send(command, body, **how)
        await wait_for_async(lambda: len(self.inbox.deliveries) > before)
        message = self.inbox.deliveries[before].message
        assert message.topic == f"millwright/{self.house.id}/cmd/{command}/reply"
        return json.loads(message.payload)


@pytest.fixture
async def house(engine: Engine, box: tuple[Nats, Config]) -> AsyncIterator[House]:
    broker, config = box
    await engine.load(GREET)
    async with Desk(broker.url) as desk:
        made = House(engine, broker, config, desk)
        await made.start()
        yield made
        await made.stop()
