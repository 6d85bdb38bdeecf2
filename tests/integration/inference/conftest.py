"""Real llama.cpp behind a real spawner."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from appliance.inference.backends.contract import BackendContext
from appliance.inference.backends.llamacpp.backend import LlamaCpp
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
