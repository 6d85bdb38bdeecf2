"""Real llama.cpp behind a real spawner."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from django.db import connections
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from appliance.inference.backends.contract import BackendContext
from appliance.inference.backends.llamacpp.backend import LlamaCpp
from tests import database
from tests.database import address, emptied
from tests.spawner import RunningSpawner, start_spawner


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder that another user can enter, as the sandbox's is."""
    folder = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="mw-models-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def spawner(place: Path) -> Iterator[RunningSpawner]:
    running = start_spawner(place)
    yield running
    running.stop()


@pytest_asyncio.fixture
async def llamacpp(place: Path, spawner: RunningSpawner) -> AsyncIterator[LlamaCpp]:
    backend = LlamaCpp(BackendContext("home", place / "models", place / "work", {}, spawner.sandbox))
    yield backend
    await backend.close()


Pool = AsyncConnectionPool[AsyncConnection[Any]]
EMPTIED = emptied(
    "inference_candidate",
    "inference_acceptance",
    "inference_servedmodel",
    "inference_workchain",
    "inference_modelchange",
    "inference_learnedfootprint",
)


@pytest.fixture
def clean(transactional_db: None) -> None:
    database.execute(EMPTIED)


@pytest_asyncio.fixture
async def pool(clean: None) -> AsyncIterator[Pool]:
    async with Pool(address(), min_size=1, max_size=4, kwargs={"autocommit": True}, open=False) as opened:
        yield opened
    await sync_to_async(connections.close_all)()
