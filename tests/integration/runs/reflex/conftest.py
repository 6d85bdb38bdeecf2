"""A reactor's reflex lane on the real database; only the world that it acts on is played."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async
from django.db import connection as django_connection

from appliance.processes.parts import DefinitionCache
from appliance.runs.intake import Intake
from appliance.runs.reflex.lane import ReflexLane
from appliance.safety.gate import Gate
from appliance.tasks.arming import load_table
from tests.integration.runs.conftest import Engine
from tests.integration.runs.test_intake import Letter, letter
from tests.wait import wait_for_async

__all__ = ["Letter", "Reactor", "letter"]


@dataclass
class Reactor:
    """One life of a reactor, as far as the ledger can tell."""

    engine: Engine
    intake: Intake
    lane: ReflexLane
    gate: Gate
    hinted: list[UUID] = field(default_factory=list)
    fenced: list[bool] = field(default_factory=list)

    async def deliver(self, *letters: Letter) -> None:
        await self.intake.deliver(list(letters))

    async def follow(self) -> None:
        """What the reactor does twice a second: have the policy in force."""
        async with self.engine.pool.connection() as connection:
            await self.gate.follow(connection)

    async def settle(self) -> None:
        await wait_for_async(lambda: self.lane.aloft == 0, 10, "every run has landed")

    async def crash(self) -> None:
        """As kill -9 leaves it: nothing more is written."""
        await self.lane.stop(0)

    async def only_run(self) -> dict[str, Any]:
        (row,) = await self.engine.sql("SELECT * FROM runs_run")
        return row


class MakeReactor(Protocol):
    """A new life of the reactor; ``text`` is a file of tasks to load first."""

    async def __call__(self, text: str = "", *, acts_after_disk: bool = True) -> Reactor: ...


@pytest.fixture
async def reactor(engine: Engine) -> AsyncIterator[MakeReactor]:
    """Makes lives of a reactor on one box."""
    made: list[Reactor] = []

    def reset() -> None:
        with django_connection.cursor() as cursor:
            cursor.execute(
                "UPDATE runs_reflex SET generation = 0, commit_number = 0, "
                "settled = '00000000-0000-0000-0000-000000000000'"
            )

    await sync_to_async(reset)()

    async def make(text: str = "", *, acts_after_disk: bool = True) -> Reactor:
        if text:
            await engine.load(text)
        hinted: list[UUID] = []
        fenced: list[bool] = []
        intake = Intake(engine.pool, engine.clock, hinted.extend)
        intake.table = await sync_to_async(load_table)()
        gate = engine.gate()
        lane = ReflexLane(
            engine.pool,
            engine.clock,
            gate,
            engine.world,
            intake.last,
            hinted.extend,
            DefinitionCache().get,
            lambda: fenced.append(True),
            acts_after_disk=acts_after_disk,
        )
        intake.reflex = lane
        await lane.start()
        life = Reactor(engine, intake, lane, gate, hinted, fenced)
        made.append(life)
        return life

    yield make
    for life in made:
        await life.lane.stop(1)
