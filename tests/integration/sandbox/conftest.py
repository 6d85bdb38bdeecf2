"""A running spawner whose home any user of the machine may read: only the sandbox keeps a job out."""

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.spawner import RunningSpawner, start_spawner


@pytest.fixture(scope="module")
def shared_user() -> bool:
    """Whether jobs run as the spawner's own user."""
    return os.geteuid() != 0


@pytest.fixture(scope="module")
def open_folder(shared_user: bool) -> Iterator[Path]:
    """A folder that anybody may enter, unlike pytest's own; another one for each kind of spawner."""
    folder = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="millwright-open-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def spawner(open_folder: Path, shared_user: bool) -> Iterator[RunningSpawner]:
    running = start_spawner(open_folder, shared_user=shared_user)
    for path in (running.home, *running.home.rglob("*")):
        path.chmod(0o755)
    yield running
    running.stop()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., RunningSpawner]]:
    """Start spawners of one's own, to be mistreated. All share one home and socket."""
    started: list[RunningSpawner] = []

    def begin(**options: int | tuple[str, ...]) -> RunningSpawner:
        started.append(start_spawner(tmp_path, **options))  # type: ignore[arg-type]  # checked by the function itself
        return started[-1]

    yield begin
    for running in started:
        running.stop()
        running.forget()


@pytest.fixture
def marker() -> str:
    """A text that no other process on this machine has in its command line."""
    return f"mark-{secrets.token_hex(8)}"
