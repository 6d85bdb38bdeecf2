"""Every kind of sandbox that there is: each keeps the same contract."""

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.sandbox.ports import Sandbox
from tests.guard import start_guard
from tests.spawner import start_spawner


@dataclass(frozen=True, slots=True)
class Member:
    """A sandbox, the home that it serves, and the process that does."""

    name: str
    sandbox: Sandbox
    home: Path
    pid: int


@pytest.fixture(scope="module", params=["process", "docker"])
def member(request: pytest.FixtureRequest) -> Iterator[Member]:
    # Not pytest's own folder, which only root may enter: nothing but the sandbox is to keep a job out.
    folder = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="mw-contract-"))
    folder.chmod(0o755)
    if request.param == "docker":
        guard = start_guard(folder, request.getfixturevalue("container_engine"))
        yield Member("docker", guard.sandbox(), guard.home.path, guard.process.pid)
        guard.stop()
    else:
        running = start_spawner(folder)
        (running.home / "secrets").mkdir(exist_ok=True)
        yield Member("process", running.sandbox, running.home, running.process.pid)
        running.stop()
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def sandbox(member: Member) -> Sandbox:
    return member.sandbox


@pytest.fixture
def marker() -> str:
    """A text that no other process on this machine has in its command line."""
    return f"mark-{secrets.token_hex(8)}"
