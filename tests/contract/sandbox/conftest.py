"""Every kind of sandbox that there is: each keeps the same contract."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.sandbox.ports import Sandbox
from tests.guard import start_guard
from tests.spawner import start_spawner


@pytest.fixture(scope="module", params=["process", "docker"])
def sandbox(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    folder: Path = tmp_path_factory.mktemp("sandbox")
    if request.param == "docker":
        guard = start_guard(folder, request.getfixturevalue("container_engine"))
        yield guard.sandbox()
        guard.stop()
        return
    running = start_spawner(folder)
    yield running.sandbox
    running.stop()


@pytest.fixture
def marker() -> str:
    """A text that no other process on this machine has in its command line."""
    return f"mark-{secrets.token_hex(8)}"
