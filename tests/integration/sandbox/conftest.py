"""A running spawner whose home any user of the machine may read: only the sandbox keeps a job out."""

import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.spawner import RunningSpawner, start_spawner


@pytest.fixture(scope="module")
def open_folder() -> Iterator[Path]:
    """A folder that anybody may enter, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="millwright-open-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def spawner(open_folder: Path) -> Iterator[RunningSpawner]:
    running = start_spawner(open_folder)
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
