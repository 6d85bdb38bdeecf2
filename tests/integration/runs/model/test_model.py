"""Runs, steps, leases and occurrences on the real database, moved at random by Hypothesis."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from tests import database
from tests.database import address
from tests.integration.runs.conftest import EMPTIED, Engine
from tests.integration.runs.model.house import ModelHouse
from tests.integration.runs.model.machine import RunsMachine

MODEL = settings(
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
    phases=(Phase.generate,),  # making a failure shorter takes longer than reading it
    print_blob=True,
    stateful_step_count=25,
)


@pytest.fixture
def machine(
    transactional_db: None, tmp_path: Path, silent_hints: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[type[RunsMachine]]:
    with asyncio.Runner() as runner:
        pool = AsyncConnectionPool[AsyncConnection[Any]](
            address(), min_size=2, max_size=6, kwargs={"autocommit": True}, open=False
        )

        async def make() -> ModelHouse:
            await sync_to_async(_empty)()
            return ModelHouse(Engine(pool, tmp_path))

        async def close() -> None:
            await pool.close()
            await sync_to_async(connections.close_all)()

        runner.run(pool.open())
        monkeypatch.setattr(RunsMachine, "loop", runner.get_loop(), raising=False)
        monkeypatch.setattr(RunsMachine, "make", staticmethod(make), raising=False)
        yield RunsMachine
        runner.run(close())


def _empty() -> None:
    database.execute(EMPTIED)


def test_whatever_happens_in_whatever_order_the_rules_of_runs_hold(machine: type[RunsMachine]) -> None:
    # The same examples each time; the slow test below looks for new ones.
    run_state_machine_as_test(machine, settings=settings(MODEL, max_examples=25, derandomize=True))


@pytest.mark.slow
def test_the_same_two_hundred_times(machine: type[RunsMachine]) -> None:
    run_state_machine_as_test(machine, settings=settings(MODEL, max_examples=200))
